"""The site in a real browser."""

import re
import time
from statistics import median

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from workshop.tests.servers import PASSWORD

WITHIN = {"wsgi": 5, "asgi": 1, "hybrid": 1}
LIVE = {"wsgi": "live: polling", "asgi": "live: websocket", "hybrid": "live: websocket"}


def sign_in(page, name):
    page.goto("/probe/")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("form.post")).to_be_visible()


def sign_up(page, name):
    page.goto("/accounts/signup/")
    page.get_by_label("Username").fill(name)
    for field in ("password1", "password2"):
        page.locator(f"[name={field}]").fill(PASSWORD)
    page.locator("main form button").click()
    expect(page.locator("body.signed-in")).to_be_visible()


def post(page, text):
    page.get_by_label("Text").fill(text)
    page.get_by_role("button", name="Post").click()


def shown(page, text):
    return page.locator("#posts > li", has_text=text)


@pytest.fixture
def name():
    return f"probe-{time.time_ns()}"


def test_the_other_page_shows_a_post_in_time(stack, new_page, figures, name):
    reader, writer = new_page("/probe/"), new_page()
    sign_in(writer, name)
    expect(reader.locator("[data-live-status]")).to_contain_text(LIVE[stack.mode])
    took = []
    for number in range(3):
        text = f"seen by the other in {stack.mode}, {number}"
        begin = time.monotonic()
        post(writer, text)
        expect(shown(reader, text)).to_be_visible(timeout=10_000)
        took.append(time.monotonic() - begin)
    figures.append(f"{stack.mode}: a post is on the other page {median(took):.2f} s after the click")
    assert median(took) < WITHIN[stack.mode]
    shown(writer, text).get_by_role("button", name="Delete").click()
    expect(shown(reader, text)).to_have_count(0, timeout=5000)


@pytest.mark.modes("asgi", "hybrid")
def test_who_cannot_have_a_websocket_gets_the_event_stream_and_then_polling(stack, new_page, name):
    reader, writer = new_page("about:blank"), new_page()
    sign_in(writer, name)
    reader.route_web_socket(re.compile("/live/"), lambda socket: socket.close())
    reader.goto("/probe/")
    expect(reader.locator("[data-live-status]")).to_contain_text("live: events", timeout=10000)
    post(writer, f"over the stream in {stack.mode}")
    expect(shown(reader, f"over the stream in {stack.mode}")).to_be_visible(timeout=2500)

    reader.route("**/events?*", lambda route: route.abort())
    reader.goto("/probe/")
    expect(reader.locator("[data-live-status]")).to_contain_text("live: polling", timeout=20000)
    post(writer, f"held in {stack.mode} until there was news")
    expect(shown(reader, f"held in {stack.mode} until there was news")).to_be_visible(timeout=2500)


def test_a_page_that_was_left_catches_up_when_one_comes_back(stack, new_page, name):
    """From the browser's own memory of pages, or loaded again."""
    page = new_page("/probe/")
    expect(page.locator("[data-live-status]")).to_contain_text(LIVE[stack.mode])
    page.goto("/healthz/live")
    stack.post(f"{name} while the page was left")
    page.go_back()
    expect(shown(page, f"{name} while the page was left")).to_be_visible(timeout=10_000)


@pytest.mark.modes("hybrid")
def test_the_lab_draws_the_requests_of_a_workload(new_page):
    page = new_page("/lab/")
    page.get_by_label("Requests", exact=True).fill("3")
    page.get_by_role("button", name="Send the requests").click()
    expect(page.locator("[data-status]")).to_contain_text("All requests have ended: 3", timeout=20000)
    expect(page.locator(".runs .bars .working")).to_have_count(3)


@pytest.mark.modes("hybrid")
def test_in_the_last_step_of_the_lab_the_event_loop_answers_below_live(new_page):
    step = new_page("/lab/").locator("[data-step]").last
    step.get_by_role("button").click()
    expect(step.locator("[data-see]")).to_be_visible(timeout=20000)
    expect(step.locator("[data-failures]")).to_be_hidden()
    threads = step.locator("tbody tr td:last-child").all_text_contents()
    assert ["MainThread" in thread for thread in threads] == [False] * 4 + [True] * 2


# What the project looks like is the same in every mode.
one_mode = pytest.mark.modes("wsgi")


@one_mode
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/accounts/signup/", "/accounts/login/", "/nothing-here", "/probe/", "/lab/"])
def test_axe_finds_nothing_serious(new_page, path, scheme):
    page = new_page(path, color_scheme=scheme)
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


@one_mode
def test_a_phone_needs_no_sideways_scrolling(new_page):
    page = new_page(viewport={"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_the_page_makes_no_noise_in_the_console(stack, new_page):
    page = new_page("about:blank")
    noise = []
    page.on("console", lambda message: noise.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: noise.append(str(error)))
    for path in ("/", "/lab/", "/probe/"):
        page.goto(path)
    expect(page.locator("[data-live-status]")).to_contain_text(LIVE[stack.mode])
    assert noise == []


def test_nothing_that_the_site_does_is_against_its_own_policy(stack, new_page, name):
    page = new_page("about:blank")
    violations = []

    def note(violation):
        violations.append(violation)

    page.expose_function("violated", note)
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation', (event) =>"
        " violated(`${location.pathname}: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`))"
    )
    page.on("console", lambda message: note(message.text) if "Policy" in message.text else None)
    sign_up(page, name)
    page.goto("/probe/")
    expect(page.locator("[data-live-status]")).to_contain_text(LIVE[stack.mode])
    post(page, f"allowed in {stack.mode}")
    expect(shown(page, f"allowed in {stack.mode}")).to_be_visible()
    # The style element of the page.
    expect(page.locator("h1")).to_have_css("letter-spacing", "1px")
    page.goto("/nothing-here")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("body.signed-out")).to_be_visible()
    page.goto("/accounts/login/")
    assert violations == []
    # What somebody else puts into the page does nothing, and would have been seen.
    page.evaluate(
        """() => {
            document.body.insertAdjacentHTML("beforeend", '<i style="color: red"></i>');
            document.body.append(Object.assign(document.createElement("script"), { text: "window.foreign = 1" }));
        }"""
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.foreign") is None
    assert any("script-src" in each for each in violations)
    assert any("style-src" in each for each in violations)
