import itertools
import os
import secrets
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from kit.live import migrations
from kit.ops.management.commands import check_migrations

pytestmark = [
    # AddIndexConcurrently refuses to be in a transaction.
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="locks and defaults are PostgreSQL's"),
]
MIGRATION = """from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django_migration_linter import IgnoreMigration


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("live", "{before}")]
    operations = [{operation}]
"""
numbers = itertools.count()


@pytest.fixture
def check(tmp_path, monkeypatch, settings):
    """Runs the command with more migrations of kit.live; what it writes."""

    def check(*operations, **options):
        # A name that was never imported before.
        package = tmp_path / f"migrations_{next(numbers)}"
        package.mkdir()
        for path in Path(migrations.__path__[0]).glob("*.py"):
            shutil.copy(path, package)
        before = "0001_initial"
        for number, operation in enumerate(operations, start=2):
            name = f"{number:04}_drill"
            (package / f"{name}.py").write_text(MIGRATION.format(operation=operation, before=before))
            before = name
        monkeypatch.syspath_prepend(tmp_path)
        settings.MIGRATION_MODULES = {"live": package.name}
        output = StringIO()
        call_command("check_migrations", stdout=output, **options)
        return output.getvalue()

    return check


UNSAFE = {
    'migrations.RemoveField("change", "position")': "DROPPING columns of live_change",
    'migrations.RenameField("change", "position", "place")': "RENAMING columns of live_change",
    'migrations.RenameModel("change", "event")': "RENAMING tables of live_change",
    'migrations.DeleteModel("change")': "DROPPING table of live_change",
    'migrations.AddField("change", "new", models.TextField(default="x"))': "NOT NULL constraint on columns",
    'migrations.AlterField("change", "position", models.TextField())': "ALTERING columns",
    'migrations.AddConstraint("change", models.UniqueConstraint(fields=["position"], name="x"))': "ADDING unique",
    'migrations.AddIndex("change", models.Index(fields=["position"], name="new"))': "CREATE INDEX locks table",
}
SAFE = [
    'migrations.AddField("change", "new", models.TextField(null=True))',
    'migrations.AddField("change", "new", models.TextField(default="x", db_default="x"))',
    'AddIndexConcurrently("change", models.Index(fields=["position"], name="new"))',
    'migrations.CreateModel("New", [("id", models.BigAutoField(primary_key=True)), ("text", models.TextField())]),'
    'migrations.AddIndex("new", models.Index(fields=["text"], name="new")),'
    'migrations.RenameField("new", "text", "words")',
    'IgnoreMigration(), migrations.RemoveField("change", "position")',
]


@pytest.mark.parametrize(("operation", "reason"), UNSAFE.items(), ids=UNSAFE.values())
def test_a_migration_that_the_running_version_cannot_live_with_is_named(check, operation, reason):
    with pytest.raises(CommandError) as error:
        check(operation)
    assert f"can't live with live.0002_drill ({reason}" in str(error.value)
    assert "ALLOW_UNSAFE=1" in str(error.value)


@pytest.mark.parametrize("operation", SAFE)
def test_a_migration_that_it_can_live_with_passes(check, operation):
    assert check(operation) == "live.0002_drill: safe\n"


def test_an_engine_around_postgresql_is_judged_as_postgresql(check, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ENGINE", "shop.engine")
    assert check(SAFE[0]) == "live.0002_drill: safe\n"


def test_an_unsafe_migration_can_be_allowed(check):
    assert "live.0002_drill: DROPPING columns" in check(
        'migrations.RemoveField("change", "position")', allow_unsafe=True
    )


def test_without_a_new_migration_there_is_nothing_to_say():
    output = StringIO()
    call_command("check_migrations", stdout=output)
    assert output.getvalue() == "There are no migrations to apply.\n"


# --- What no SQL can be written of ---

# As in django-allauth: what is to be dropped from a table Django looks for in the database, and the SQL that drops an
# index does not say of which table.
OF_A_NEW_TABLE = [
    'migrations.CreateModel("Key", [("id", models.BigAutoField(primary_key=True)), ("text", models.TextField())], '
    'options={"unique_together": {("id", "text")}, "indexes": [models.Index(fields=["text"], name="new")]})',
    'migrations.RemoveIndex("key", "new"), migrations.AlterUniqueTogether("key", set())',
]
OF_A_TABLE_THAT_EXISTS = 'migrations.AlterUniqueTogether("change", {("position",)})'
OF_NOBODY_KNOWS = "migrations.SeparateDatabaseAndState()"


def fail(*args, **options):
    raise ValueError("Found wrong number (0)\nof constraints")


def test_a_migration_of_a_table_that_is_yet_to_come_passes(check):
    assert check(*OF_A_NEW_TABLE) == "live.0002_drill: safe\nlive.0003_drill: safe\n"


def test_a_migration_that_cannot_be_judged_is_refused_by_name(check, monkeypatch):
    monkeypatch.setattr(check_migrations, "call_command", fail)
    with pytest.raises(CommandError) as error:
        check(OF_A_TABLE_THAT_EXISTS)
    assert str(error.value) == (
        "It can't be judged whether the version that is running can live with live.0002_drill (ValueError: Found wrong "
        "number (0) of constraints): read what it does to tables that are in use, then set ALLOW_UNSAFE=1 to continue."
    )


@pytest.mark.parametrize("operation", [OF_A_TABLE_THAT_EXISTS, OF_NOBODY_KNOWS])
def test_a_migration_that_cannot_be_judged_can_be_allowed(check, monkeypatch, operation):
    monkeypatch.setattr(check_migrations, "call_command", fail)
    assert check(operation, allow_unsafe=True).endswith(" of constraints): can't be judged\n")


def test_a_database_that_cannot_be_reached_is_one_sentence():
    environment = {**os.environ, "DATABASE_URL": f"postgres://user:{secrets.token_hex(8)}@127.0.0.1:1/name"}
    result = subprocess.run(
        [sys.executable, "manage.py", "check_migrations"], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "check DATABASE_URL" in result.stderr
