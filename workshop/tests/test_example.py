"""The example in a real browser: what its script and its forms do for two visitors. Without it nothing is tested."""

import time

import pytest
from django.apps import apps
from playwright.sync_api import expect

from workshop.tests.servers import PASSWORD

pytestmark = pytest.mark.skipif(not apps.is_installed("apps.wishes"), reason="the example is gone")


@pytest.fixture
def open_page(browser, server):
    contexts = []

    def opened(**options):
        contexts.append(browser.new_context(base_url=server.url.replace("127.0.0.1", "localhost"), **options))
        page = contexts[-1].new_page()
        page.goto("/")
        return page

    yield opened
    for context in contexts:
        context.close()


def sign_up(page):
    page.goto("/accounts/signup/")
    page.get_by_label("Username").fill(f"user-{time.time_ns()}")
    for label in ("Password", "Password (again)"):
        page.get_by_label(label, exact=True).fill(PASSWORD)
    page.locator("main form button").click()
    expect(page.locator("body.signed-in")).to_be_visible()


def post(page, text):
    page.locator("form.compose textarea").fill(text)
    page.locator("form.compose button").click()


def wish(page, text):
    return page.locator("#wishes > li", has_text=text)


def test_a_wish_is_posted_cheered_granted_and_deleted_before_the_eyes_of_another(open_page):
    reader, writer = open_page(), open_page()
    sign_up(writer)
    sign_up(reader)
    expect(reader.locator("[data-live-status]")).to_contain_text("live")
    post(writer, "seen by the other")
    expect(wish(reader, "seen by the other")).to_be_visible(timeout=8000)
    # One's own wish has the owner's buttons, and no cheer.
    expect(wish(writer, "seen by the other").locator(".cheer")).to_be_hidden()
    wish(reader, "seen by the other").locator(".cheer").click()
    expect(wish(reader, "seen by the other").locator(".cheered")).to_be_visible()
    wish(writer, "seen by the other").get_by_role("button", name="Mark as granted").click()
    expect(wish(reader, "seen by the other").locator(".badge")).to_be_visible(timeout=8000)
    wish(writer, "seen by the other").locator("summary").click()
    wish(writer, "seen by the other").get_by_role("button", name="Yes, delete this wish").click()
    expect(wish(reader, "seen by the other")).to_have_count(0, timeout=8000)


def test_the_board_works_with_javascript_off_and_in_korean(open_page):
    page = open_page(java_script_enabled=False)
    sign_up(page)
    post(page, "without a script")
    wish(page, "without a script").get_by_role("button", name="Mark as granted").click()
    expect(wish(page, "without a script").locator(".badge")).to_be_visible()
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    post(page, "   ")
    expect(page.locator("form.compose [aria-invalid=true]")).to_be_visible()
    expect(page.locator("form.compose")).to_contain_text("적어 주세요")
