import itertools
import shutil
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.wishes import migrations as wishes

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
    dependencies = [("wishes", "0001_initial")]
    operations = [{operation}]
"""
numbers = itertools.count()


@pytest.fixture
def check(tmp_path, monkeypatch, settings):
    """Runs the command with one more migration of apps.wishes; what it writes."""

    def check(operation, **options):
        # A name that was never imported before.
        package = tmp_path / f"migrations_{next(numbers)}"
        package.mkdir()
        for path in Path(wishes.__path__[0]).glob("*.py"):
            shutil.copy(path, package)
        (package / "0002_drill.py").write_text(MIGRATION.format(operation=operation))
        monkeypatch.syspath_prepend(tmp_path)
        settings.MIGRATION_MODULES = {"wishes": package.name}
        output = StringIO()
        call_command("check_migrations", stdout=output, **options)
        return output.getvalue()

    return check


UNSAFE = {
    'migrations.RemoveField("wish", "text")': "DROPPING columns of wishes_wish",
    'migrations.RenameField("wish", "text", "words")': "RENAMING columns of wishes_wish",
    'migrations.RenameModel("wish", "dream")': "RENAMING tables of wishes_wish",
    'migrations.DeleteModel("wish")': "DROPPING table of wishes_wish",
    'migrations.AddField("wish", "new", models.TextField(default="x"))': "NOT NULL constraint on columns",
    'migrations.AlterField("wish", "text", models.IntegerField())': "ALTERING columns",
    'migrations.AddConstraint("wish", models.UniqueConstraint(fields=["text"], name="x"))': "ADDING unique constraint",
    'migrations.AddIndex("wish", models.Index(fields=["text"], name="new"))': "CREATE INDEX locks table",
}
SAFE = [
    'migrations.AddField("wish", "new", models.TextField(null=True))',
    'migrations.AddField("wish", "new", models.TextField(default="x", db_default="x"))',
    'AddIndexConcurrently("wish", models.Index(fields=["text"], name="new"))',
    'migrations.CreateModel("New", [("id", models.BigAutoField(primary_key=True)), ("text", models.TextField())]),'
    'migrations.AddIndex("new", models.Index(fields=["text"], name="new")),'
    'migrations.RenameField("new", "text", "words")',
    'IgnoreMigration(), migrations.RemoveField("wish", "text")',
]


@pytest.mark.parametrize(("operation", "reason"), UNSAFE.items(), ids=UNSAFE.values())
def test_a_migration_that_the_running_version_cannot_live_with_is_named(check, operation, reason):
    with pytest.raises(CommandError) as error:
        check(operation)
    assert f"can't live with wishes.0002_drill ({reason}" in str(error.value)
    assert "ALLOW_UNSAFE=1" in str(error.value)


@pytest.mark.parametrize("operation", SAFE)
def test_a_migration_that_it_can_live_with_passes(check, operation):
    assert check(operation) == "wishes.0002_drill: safe\n"


def test_an_unsafe_migration_can_be_allowed(check):
    assert "wishes.0002_drill: DROPPING columns" in check('migrations.RemoveField("wish", "text")', allow_unsafe=True)


def test_without_a_new_migration_there_is_nothing_to_say():
    output = StringIO()
    call_command("check_migrations", stdout=output)
    assert output.getvalue() == "No migration is to be applied.\n"
