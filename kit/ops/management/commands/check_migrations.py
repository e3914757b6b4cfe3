"""Stops a release whose migrations would break the running version."""

import re
from io import StringIO
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.exceptions import InconsistentMigrationHistory, NodeNotFoundError
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.fields import FieldOperation
from django.db.migrations.operations.models import IndexOperation, ModelOperation
from django_migration_linter import IgnoreMigration
from django_migration_linter.sql_analyser import analyse_sql_statements, get_sql_analyser_class

from .migrate_once import connect

# A linter's rule that need not stop a release: the lock that it warns about is the one of CREATE_INDEX.
IGNORED = ["CREATE_INDEX_EXCLUSIVE"]
TABLE = re.compile(r'\b(?:TABLE|ON)\s+(?:IF EXISTS\s+)?"([^"]+)"')


class Command(BaseCommand):
    help = (
        "Looks at the migrations that are not applied yet, and stops where one would break the version that is "
        "running, or lock a table for long: a column that is dropped or renamed, or is new and must be filled, an "
        "index that is not made concurrently."
    )
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--allow-unsafe", action="store_true", help="Name unsafe migrations, and continue.")
        parser.add_argument(
            "--missing",
            action="store_true",
            help="Only say whether a model of the project's own applications has changed without a migration.",
        )

    def handle(self, *, allow_unsafe, missing, **options):
        if missing:
            return call_command("makemigrations", *own_applications(), check_changes=True, dry_run=True)
        connect().close()
        connection = connections[DEFAULT_DB_ALIAS]
        try:
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except (InconsistentMigrationHistory, NodeNotFoundError) as error:
            raise CommandError(str(error)) from error
        if not executor.loader.applied_migrations:
            self.stdout.write("The database is empty: nothing can break.")
            return
        tables = set(connection.introspection.table_names())
        findings, unknown = [], []
        for migration, _ in plan:
            try:
                is_new = touches_only_new_tables(migration, tables, executor.loader)
                reasons = [] if is_new else reasons_against(migration, tables, connection.vendor)
            # Django reads the database to write the SQL of some operations, which can raise anything.
            except Exception as error:
                unknown.append(f"{migration} ({type(error).__name__}: {' '.join(str(error).split())})")
                self.stdout.write(f"{unknown[-1]}: can't be judged")
                continue
            self.stdout.write(f"{migration}: {', '.join(reasons) or 'safe'}")
            if reasons:
                findings.append(f"{migration} ({', '.join(reasons)})")
        if not plan:
            self.stdout.write("There are no migrations to apply.")
        if findings and not allow_unsafe:
            raise CommandError(
                f"The version that is running can't live with {'; '.join(findings)}: do it in steps, each of which it "
                "supports (docs/operations.md), or set ALLOW_UNSAFE=1 to accept failing requests."
            )
        if unknown and not allow_unsafe:
            raise CommandError(
                f"It can't be judged whether the version that is running can live with {'; '.join(unknown)}: read what "
                "it does to tables that are in use, then set ALLOW_UNSAFE=1 to continue."
            )


def own_applications():
    """The applications in the project's folder. A package's missing migrations are its author's concern."""
    for config in apps.get_app_configs():
        path = Path(config.path)
        if path.is_relative_to(settings.BASE_DIR) and "site-packages" not in path.parts:
            yield config.label


def touches_only_new_tables(migration, tables, loader):
    """No request uses a table that doesn't exist yet, such as those of a package that was just added."""
    models = loader.project_state((migration.app_label, migration.name), at_end=False).models
    for operation in migration.operations:
        if not isinstance(operation, ModelOperation | FieldOperation | IndexOperation):
            return False
        name = operation.name if isinstance(operation, ModelOperation) else operation.model_name
        key = migration.app_label, name.lower()
        if key in models and (models[key].options.get("db_table") or "_".join(key)) in tables:
            return False
    return True


def reasons_against(migration, tables, vendor):
    """Why `migration` is unsafe, in the linter's words. `tables`: those that exist."""
    if any(isinstance(operation, IgnoreMigration) for operation in migration.operations):
        return []
    sql = call_command("sqlmigrate", migration.app_label, migration.name, stdout=StringIO(), no_color=True)
    statements = [line for line in sql.splitlines() if not (found := TABLE.search(line)) or found[1] in tables]
    errors, _, warnings = analyse_sql_statements(get_sql_analyser_class(vendor), statements, IGNORED)
    return sorted({issue.message + (f" of {issue.table}" if issue.table else "") for issue in errors + warnings})
