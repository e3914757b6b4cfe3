"""/healthz/ready where the database is not as it should be, through real servers with an engine of the owner's."""

import sqlite3
from contextlib import closing

import httpx
import pytest

from workshop.tests.ops.engine.base import FAULTS
from workshop.tests.servers import EMBEDDED_MODES, serve


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    settings = "workshop.tests.ops.wrapped_settings"
    with serve(request.param, folder, DJANGO_SETTINGS_MODULE=settings, FAULT=str(folder / "fault")) as server:
        yield server


def ready(server):
    response = httpx.get(f"{server.url}/healthz/ready", timeout=30)
    return response.status_code, response.json()["status"], response.json()["dependencies"]["database"]


@pytest.mark.parametrize("name", FAULTS)
def test_whatever_the_connection_raises_is_503_and_comes_back(server, name):
    fault = server.log.parent / "fault"
    fault.write_text(name)
    try:
        assert ready(server) == (503, "unavailable", f"unreachable ({name})")
    finally:
        fault.unlink()
    assert ready(server) == (200, "ready", "ok")


def test_a_database_without_tables_is_503(server):
    with closing(sqlite3.connect(server.log.parent / "db.sqlite3")) as database:
        database.execute("ALTER TABLE django_migrations RENAME TO put_away")
        try:
            assert ready(server) == (503, "unavailable", "not migrated (manage.py migrate_once)")
        finally:
            database.execute("ALTER TABLE put_away RENAME TO django_migrations")
    assert ready(server) == (200, "ready", "ok")
