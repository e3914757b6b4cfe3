"""The pages that `make -C workshop docs` makes of the documents."""

import subprocess
import sys

import pytest
from playwright.sync_api import expect

from workshop.tests.servers import copy_of_the_clone


def build(folder):
    command = ["make", "-C", "workshop", "docs", f"PYTHON={sys.executable}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = copy_of_the_clone(tmp_path_factory.mktemp("site"))
    # The packages are there.
    (folder / "bin/venv").write_text("#!/bin/sh\n")
    return folder


@pytest.fixture(scope="module")
def site(checkout):
    result = build(checkout)
    assert (result.returncode, result.stderr) == (0, "")
    return (checkout / "var/docs/html").as_uri()


@pytest.fixture
def page(browser, site):
    """The pages as they are opened from a disk: they ask no other machine for anything."""
    page = browser.new_page(base_url=f"{site}/")
    asked = []
    page.on("request", lambda request: request.url.startswith("http") and asked.append(request.url))
    yield page
    page.close()
    assert asked == []


@pytest.mark.parametrize(
    ("words", "found"), [("rollback", "Operations"), ("주소", "첫 배포"), ("이벤트", "모드 고르기")]
)
def test_the_search_finds_words_in_both_languages(page, words, found):
    page.goto("index.html")
    page.get_by_role("textbox", name="Search").fill(words)
    page.keyboard.press("Enter")
    expect(page.locator("#search-results").get_by_role("link", name=found, exact=True)).to_be_visible()


def test_a_page_leads_to_itself_in_the_other_language(page):
    page.goto("docs/first-deploy.html")
    for name, language in [("한국어", "ko"), ("English", "en")]:
        page.get_by_role("main").get_by_role("link", name=name).click()
        expect(page.locator("html")).to_have_attribute("lang", language)


@pytest.mark.parametrize("path", ["index", "docs/choosing-a-mode.ko", "workshop/bench/results/README"])
def test_every_diagram_is_drawn(page, path):
    page.goto(f"{path}.html")
    expect(page.locator(".mermaid > svg:not([aria-roledescription=error])")).not_to_have_count(0)
    expect(page.locator(".highlight-mermaid, .mermaid:not(:has(> svg)), [aria-roledescription=error]")).to_have_count(0)


def test_a_link_that_leads_nowhere_a_missing_anchor_and_a_page_without_a_place_fail(checkout, site):
    (checkout / "CHANGELOG.md").write_text("# A\n\n[a](missing.md), [b](docs/security.md#missing), [c](#missing)\n")
    (checkout / "docs/lost.md").write_text("# Lost\n")
    result = build(checkout)
    assert result.returncode != 0
    for sentence in [
        "'myst' cross-reference target not found: 'missing.md'",
        "local id not found in doc 'docs/security': 'missing'",
        "'myst' cross-reference target not found: 'missing'",
        "lost.md: WARNING: document isn't included in any toctree",
    ]:
        assert sentence in result.stderr
