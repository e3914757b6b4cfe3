import itertools
import shutil
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from kit.live import migrations

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
    dependencies = [("live", "0001_initial")]
    operations = [{operation}]
"""
numbers = itertools.count()


@pytest.fixture
def check(tmp_path, monkeypatch, settings):
    """Runs the command with one more migration of kit.live; what it writes."""

    def check(operation, **options):
        # A name that was never imported before.
        package = tmp_path / f"migrations_{next(numbers)}"
        package.mkdir()
        for path in Path(migrations.__path__[0]).glob("*.py"):
            shutil.copy(path, package)
        (package / "0002_drill.py").write_text(MIGRATION.format(operation=operation))
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


def test_an_unsafe_migration_can_be_allowed(check):
    assert "live.0002_drill: DROPPING columns" in check(
        'migrations.RemoveField("change", "position")', allow_unsafe=True
    )


def test_without_a_new_migration_there_is_nothing_to_say():
    output = StringIO()
    call_command("check_migrations", stdout=output)
    assert output.getvalue() == "No migration is to be applied.\n"
