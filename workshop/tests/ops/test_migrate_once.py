import os
import secrets
import subprocess
import sys
import time
from contextlib import closing
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from kit.ops.management.commands import migrate_once

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no advisory locks")


@pytest.fixture(autouse=True)
def closed_connection():
    """The command's process ends, and with it what it has set for its session."""
    yield
    connection.close()


@pytest.fixture
def migrations(monkeypatch):
    """Each time the command migrates: was the lock held?"""
    held = []

    def migrate(name, **options):
        assert name == "migrate"
        assert options["interactive"] is False
        held.append(connection.vendor == "postgresql" and is_locked())

    monkeypatch.setattr(migrate_once, "call_command", migrate)
    return held


def is_locked():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s", [migrate_once.LOCK])
        return cursor.fetchone()[0] == 1


def becomes_free():
    """PostgreSQL gives a lock back when it has noticed that its session is over."""
    return any(not is_locked() or time.sleep(0.1) for _ in range(50))


@pytest.fixture
def another_process():
    """A session of its own that holds the lock."""
    with closing(connection.copy()) as other:
        other.settings_dict["OPTIONS"].pop("pool", None)
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [migrate_once.LOCK])
        yield other


def test_the_database_is_migrated(migrations):
    call_command("migrate_once", stdout=StringIO())
    assert migrations == [connection.vendor == "postgresql"]


def test_a_second_run_finds_nothing_to_do():
    output = StringIO()
    call_command("migrate_once", stdout=output)
    assert "No migrations to apply" in output.getvalue()


@on_postgresql
def test_the_lock_is_free_afterwards(migrations):
    call_command("migrate_once", stdout=StringIO())
    assert becomes_free()


@on_postgresql
def test_the_lock_is_free_after_a_migration_that_failed(monkeypatch):
    def fail(*args, **options):
        raise CommandError("no such column")

    monkeypatch.setattr(migrate_once, "call_command", fail)
    with pytest.raises(CommandError, match="no such column"):
        call_command("migrate_once", stdout=StringIO())
    assert becomes_free()


@on_postgresql
def test_one_that_waits_too_long_gives_up_with_a_sentence(migrations, another_process):
    output = StringIO()
    with pytest.raises(CommandError, match="Another process has been migrating for more than 1 s"):
        call_command("migrate_once", wait=1, stdout=output)
    assert "Another process is migrating: waiting up to 1 s for it." in output.getvalue()
    assert migrations == []


@on_postgresql
def test_one_that_waits_migrates_when_the_first_is_done(migrations, another_process, monkeypatch):
    lock = migrate_once.Command.lock

    def lock_when_the_other_ends(command, cursor, wait):
        original = command.stdout.write

        def write(message):
            another_process.close()
            original(message)

        monkeypatch.setattr(command.stdout, "write", write)
        lock(command, cursor, wait)

    monkeypatch.setattr(migrate_once.Command, "lock", lock_when_the_other_ends)
    call_command("migrate_once", wait=5, stdout=StringIO())
    assert migrations == [True]


@on_postgresql
def test_a_migration_gives_up_on_a_table_that_is_locked_with_a_sentence(monkeypatch):
    def lock_a_table(*args, **options):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE django_migrations")

    monkeypatch.setattr(migrate_once, "call_command", lock_a_table)
    monkeypatch.setattr(migrate_once, "TABLE_LOCK_TIMEOUT", 1)
    with closing(connection.copy()) as other:
        other.settings_dict["OPTIONS"].pop("pool", None)
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE django_migrations")
        with pytest.raises(CommandError, match="A migration waited more than 1 s for a table"):
            call_command("migrate_once", stdout=StringIO())
        other.rollback()


@pytest.mark.parametrize("mode", ["wsgi", "asgi"])
def test_a_database_that_cannot_be_reached_is_one_sentence(mode):
    environment = {
        **os.environ,
        "SERVER_MODE": mode,
        "DATABASE_URL": f"postgres://user:{secrets.token_hex(8)}@127.0.0.1:1/name",
    }
    result = subprocess.run(
        [sys.executable, "manage.py", "migrate_once"], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "check DATABASE_URL" in result.stderr
    assert "Connection refused" in result.stderr
