"""The site in a real browser."""

import re
import time
from statistics import median  # only with wishes

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from workshop.tests.servers import PASSWORD

WITHIN = {"wsgi": 5, "asgi": 1, "hybrid": 1}  # only with wishes
LIVE = {"wsgi": "live by polling", "asgi": "live over WebSocket", "hybrid": "live over WebSocket"}  # only with wishes


def sign_up(page, name):
    page.goto("/accounts/sign-up")
    page.get_by_label("Username").fill(name)
    for label in ("Password", "Password confirmation"):
        page.get_by_label(label, exact=True).fill(PASSWORD)
    page.locator("main form button").click()
    expect(page.locator("body.signed-in")).to_be_visible()


# only with wishes
def post(page, text):
    page.locator("form.compose textarea").fill(text)
    page.locator("form.compose button").click()


def wish(page, text):
    return page.locator("#wishes > li", has_text=text)


# end of wishes
@pytest.fixture
def name():
    return f"user-{time.time_ns()}"


# only with wishes
def test_the_other_page_shows_the_wish_in_time(stack, new_page, figures, name):
    reader, writer = new_page(), new_page()
    sign_up(writer, name)
    expect(reader.locator("[data-live-status]")).to_contain_text(LIVE[stack.mode])
    took = []
    for number in range(3):
        text = f"seen by the other in {stack.mode}, {number}"
        begin = time.monotonic()
        post(writer, text)
        expect(wish(reader, text)).to_be_visible(timeout=10_000)
        took.append(time.monotonic() - begin)
    figures.append(f"{stack.mode}: a wish is on the other page {median(took):.2f} s after the click")
    assert median(took) < WITHIN[stack.mode]
    wish(writer, text).get_by_role("button", name="Mark as granted").click()
    expect(wish(reader, text).locator(".badge")).to_be_visible(timeout=5000)
    wish(writer, text).locator("summary").click()
    wish(writer, text).get_by_role("button", name="Yes, delete this wish").click()
    expect(wish(reader, text)).to_have_count(0, timeout=5000)


@pytest.mark.modes("asgi", "hybrid")
def test_who_cannot_have_a_websocket_gets_the_event_stream_and_then_polling(stack, new_page, name):
    reader, writer = new_page("about:blank"), new_page()
    sign_up(writer, name)
    reader.route_web_socket(re.compile("/live/"), lambda socket: socket.close())
    reader.goto("/")
    expect(reader.locator("[data-live-status]")).to_contain_text("event stream", timeout=10000)
    post(writer, f"over the stream in {stack.mode}")
    expect(wish(reader, f"over the stream in {stack.mode}")).to_be_visible(timeout=2500)

    reader.route("**/events?*", lambda route: route.abort())
    reader.goto("/")
    expect(reader.locator("[data-live-status]")).to_contain_text("polling", timeout=20000)
    post(writer, f"held in {stack.mode} until there was news")
    expect(wish(reader, f"held in {stack.mode} until there was news")).to_be_visible(timeout=2500)


def test_the_board_works_with_javascript_off(stack, new_page, name):
    page = new_page(java_script_enabled=False)
    sign_up(page, name)
    post(page, f"by {name}")
    wish(page, f"by {name}").get_by_role("button", name="Mark as granted").click()
    expect(wish(page, f"by {name}").locator(".badge")).to_be_visible()
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    post(page, "   ")
    expect(page.locator("form.compose [aria-invalid=true]")).to_be_visible()
    expect(page.locator("form.compose")).to_contain_text("적어 주세요")


# end of wishes
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/accounts/sign-up", "/accounts/sign-in", "/nothing-here"])
def test_axe_finds_nothing_serious(new_page, path, scheme):
    page = new_page(path, color_scheme=scheme)
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


def test_a_phone_needs_no_sideways_scrolling(new_page):
    page = new_page(viewport={"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_the_page_makes_no_noise_in_the_console(stack, new_page):
    page = new_page("about:blank")
    noise = []
    page.on("console", lambda message: noise.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.goto("/")
    expect(page.locator("[data-live-status]")).to_contain_text(LIVE[stack.mode])  # only with wishes
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
    # only with wishes
    expect(page.locator("[data-live-status]")).to_contain_text(LIVE[stack.mode])
    post(page, f"allowed in {stack.mode}")
    # The style element of the page: one's own wish has the owner's buttons, and no cheer.
    expect(wish(page, f"allowed in {stack.mode}").get_by_role("button", name="Mark as granted")).to_be_visible()
    expect(wish(page, f"allowed in {stack.mode}").locator(".cheer")).to_be_hidden()
    # end of wishes
    page.goto("/nothing-here")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("body.signed-out")).to_be_visible()
    page.goto("/accounts/sign-in")
    page.goto("/admin/login/")
    # A script of the admin has run.
    expect(page.locator("html")).to_have_attribute("data-theme", re.compile("."))
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
