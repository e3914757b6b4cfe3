import os
import secrets
import signal

import django
import pytest

# The environment of the person who runs the tests decides nothing but the services: DATABASE_URL and REDIS_URL, where
# `make e2e` runs these tests once more on PostgreSQL and Redis.
for name in (
    "LAB",  # only with lab
    "UPSTREAM", "SITE_URL", "DEBUG", "PORT", "BIND_ADDRESS", "WEB_CONCURRENCY", "WEB_THREADS", "SERVING_STOCK",
    "FORWARDED_ALLOW_IPS", "SECRET_KEY_FILE", "DATABASE_URL_FILE", "REDIS_URL_FILE", "TRUSTED_PROXIES", "HTTP3",
    "LIMIT_PAGES", "LIMIT_LIVE", "LIMIT_SIGN_IN", "LIMIT_SIGN_UP", "LIMIT_CONNECTIONS",
):  # fmt: skip
    os.environ.pop(name, None)
# A shell has what it starts in the background ignore Ctrl+C, and so would the servers that tests end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["SECRET_KEY"] = secrets.token_urlsafe(64)
# This mode has all that there is to test in one process. The others are tested through real servers.
os.environ["SERVER_MODE"] = "asgi"
os.environ["DJANGO_SETTINGS_MODULE"] = "wisheasy.settings"
django.setup()

from tests.servers import EMBEDDED_MODES, Server, serve, started  # noqa: E402


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory):
    from django.conf import settings

    database = settings.DATABASES["default"]
    # The threads of a test end with it, and nobody would close what they kept.
    database["CONN_MAX_AGE"] = 0
    if database["ENGINE"].endswith("sqlite3"):
        # A file and not memory, as in use: there readers do not wait for a writer (WAL).
        database.setdefault("TEST", {})["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


@pytest.fixture(scope="session", params=EMBEDDED_MODES)
def server(request, tmp_path_factory):
    """The project as `make run-…` serves it: the same tests for each mode that needs no Docker."""
    with serve(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture(scope="session", params=EMBEDDED_MODES)
def notes_server(request, tmp_path_factory):
    """The same with a topic that is there whatever applications there are (tests/notes)."""
    folder = tmp_path_factory.mktemp(request.param)
    with serve(request.param, folder, DJANGO_SETTINGS_MODULE="tests.notes.settings") as server:
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


@pytest.fixture(autouse=True)
def static_files_need_not_be_collected(settings):
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
