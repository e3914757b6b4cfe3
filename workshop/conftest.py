import pytest

from workshop.tests.servers import EMBEDDED_MODES, Server, serve, started


def pytest_configure(config):
    config.addinivalue_line("markers", "modes(*names): the modes that a test speaks of, where it is not all of them")


@pytest.fixture(scope="session", params=EMBEDDED_MODES)
def server(request, tmp_path_factory):
    """The project as `make run-…` serves it: the same tests for each mode that needs no Docker."""
    with serve(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture(scope="session", params=EMBEDDED_MODES)
def notes_server(request, tmp_path_factory):
    """The same with a topic that is there whatever applications there are (tests/notes)."""
    folder = tmp_path_factory.mktemp(request.param)
    with serve(request.param, folder, DJANGO_SETTINGS_MODULE="workshop.probe.settings") as server:
        yield server


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
