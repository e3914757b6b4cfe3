import shutil

import pytest
from playwright.sync_api import sync_playwright

from workshop.tests.servers import EMBEDDED_MODES, serve

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def lab(request, tmp_path_factory):
    """The project with the lab, in each mode that needs no Docker."""
    with serve(
        request.param, tmp_path_factory.mktemp(f"lab-{request.param}"), DJANGO_SETTINGS_MODULE="workshop.lab.settings"
    ) as server:
        yield server


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"No browser here: one of {', '.join(BROWSERS)}.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
