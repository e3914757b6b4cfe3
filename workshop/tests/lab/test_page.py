"""Requests of one's own, and the page as a whole, in a real browser."""

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from workshop.tests.test_headers import assert_closed


@pytest.fixture
def open_page(browser, lab):
    contexts = []

    def opened(**options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.goto(f"{lab.url}/lab/")
        return page

    yield opened
    for context in contexts:
        context.close()


def send(page, workload, kind, count):
    page.get_by_label("Workload", exact=True).select_option(workload)
    page.locator(f"input[value={kind}]").check(force=True)
    page.get_by_label("Requests", exact=True).fill(str(count))
    page.get_by_role("button", name="Send the requests").click()
    expect(page.locator("[data-status]")).to_contain_text(f"All requests have ended: {count}", timeout=20000)
    return page.locator(".runs .run").first


def seconds(text):
    """What "1.02s" or "340ms" stands for."""
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text[:-1])


def test_the_bars_show_what_waits_for_a_thread(lab, open_page):
    run = send(open_page(), "upstream", "async", 6)
    expect(run.locator(".bars .working")).to_have_count(6)
    longest = seconds(run.locator("[data-longest]").inner_text())
    # Six connections of a browser on the four threads of WSGI.
    assert longest >= 1.9 if lab.mode == "wsgi" else longest < 1.8
    expect(run.locator("tbody tr")).to_have_count(6)
    expect(run.locator("[data-failures]")).to_be_hidden()


def test_what_is_beyond_six_connections_waits_in_the_browser(open_page):
    run = send(open_page(), "fanout", "async", 18)
    assert int(run.locator("[data-most]").inner_text()) <= 6
    widths = run.locator(".bars .queued").evaluate_all("bars => bars.map((bar) => parseFloat(bar.style.width))")
    assert sum(width > 20 for width in widths) >= 6


def test_a_run_says_why_it_looks_like_that(lab, open_page):
    page = open_page()
    why = {
        "wsgi": "Async changes nothing about computing",
        "asgi": "everything else on this loop stands still",
    }
    expect(send(page, "cpu", "async", 2).locator("[data-why]")).to_contain_text(why[lab.mode])


def test_a_broadcast_is_sent_with_its_token(open_page):
    run = send(open_page(), "broadcast", "sync", 3)
    expect(run.locator("tbody td:nth-child(6)")).to_have_text(["201"] * 3)


def test_a_request_that_fails_is_told_and_ends(open_page):
    page = open_page()
    page.route("**/lab/plain/sync?*-1", lambda route: route.abort())
    run = send(page, "plain", "sync", 3)
    expect(run.locator("[data-failures]")).to_have_text("Requests without the answer they should have got: 1.")
    expect(run.locator(".bars .failed")).to_have_count(1)
    expect(page.locator("[data-status]")).to_contain_text("with an error")


@pytest.mark.parametrize("count", ["0", "51", "1.5", ""])
def test_a_number_that_is_none_sends_nothing(open_page, count):
    page = open_page()
    page.get_by_label("Requests", exact=True).fill(count)
    page.get_by_role("button", name="Send the requests").click()
    expect(page.locator(".runs .run")).to_have_count(0)


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page, scheme, locale):
    page = open_page(color_scheme=scheme, locale=locale)
    page.locator("#workload").select_option("query")
    page.locator(".choose .button").click()
    expect(page.locator(".runs tbody tr")).to_have_count(12)
    page.locator(".runs summary").click()
    page.locator("[data-step] button").nth(3).click()
    expect(page.locator("[data-step] [data-see]").nth(3)).to_be_visible(timeout=20000)
    # What can't be pressed is paler.
    expect(page.locator(".button[aria-disabled]")).to_have_count(0)
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


def test_a_phone_needs_no_sideways_scrolling(open_page):
    page = open_page(viewport={"width": 320, "height": 640})
    run = send(page, "plain", "sync", 3)
    run.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_without_javascript_the_workloads_are_still_there(open_page):
    page = open_page(java_script_enabled=False)
    expect(page.locator("form.choose")).to_be_hidden()
    page.get_by_role("link", name="sync plain", exact=True).click()
    expect(page.locator("body")).to_have_text("wisheasy")


def test_the_page_makes_no_noise_in_the_console(browser, lab):
    page = browser.new_page()
    noise = []
    page.on("console", lambda message: noise.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.goto(f"{lab.url}/lab/")
    send(page, "stream", "async", 2)
    page.close()
    assert noise == []


def test_the_page_is_closed_as_every_other_and_names_its_script_with_another_nonce_each_time(lab):
    assert len({assert_closed(httpx.get(f"{lab.url}/lab/")) for _ in range(3)} - {None}) == 3
