import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from workshop.tests.servers import EMBEDDED_MODES, Server, serve, started


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", r"error:::workshop\.")
    config.addinivalue_line("markers", "modes(*names): the modes that a test speaks of, where it is not all of them")


@pytest.fixture(scope="session", params=EMBEDDED_MODES)
def server(request, tmp_path_factory):
    """The project as `make run-…` serves it: the same tests for each mode that needs no Docker."""
    with serve(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture(scope="session", params=EMBEDDED_MODES)
def notes_server(request, tmp_path_factory):
    """The same with topics that are there whatever the project is (workshop/probe)."""
    folder = tmp_path_factory.mktemp(request.param)
    with serve(request.param, folder, DJANGO_SETTINGS_MODULE="workshop.probe.settings") as server:
        yield server


# No longer than for a module: Playwright keeps an event loop on this thread, and asyncio's own tests want theirs there.
@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not path and not os.environ.get("CI"):
        pytest.skip("There is no Chromium and no Chrome here.")
    assert path, "there is no Chromium and no Chrome here"
    # As root, in a container or a CI machine, Chromium has no sandbox; and it need not look for its maker's servers.
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes():
    # In a process of its own pytest-django would read the settings before conftest.py says what they read.
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


def pytest_runtest_setup(item):
    started.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failure, the end of the log of each server that the test has used."""
    report = yield
    if report.failed:
        given = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Server)]
        for server in dict.fromkeys([*given, *started]):
            report.sections.append((f"Log of the server in {server.mode} mode", server.last_lines()))
    return report


def pytest_collection_modifyitems(config, items):
    """Leave out the modes that a test does not speak of: @pytest.mark.modes("asgi", "hybrid")."""
    left_out = []
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        modes = {params[name] for name in ("server", "notes_server", "stack") if name in params}
        if (mark := item.get_closest_marker("modes")) and not modes & set(mark.args):
            left_out.append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
