"""Migrates under a PostgreSQL advisory lock, because containers that start together must not migrate together."""

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections

# Any number that nothing else in this database locks.
LOCK = 0x77697368
LOCK_NOT_AVAILABLE = "55P03"
# Seconds that a migration waits for a table lock.
TABLE_LOCK_TIMEOUT = 5


def connect():
    """A connection outside any pool: the lock ends with its session, and a pool that can't connect keeps the process
    from exiting."""
    connection = connections[DEFAULT_DB_ALIAS].copy()
    connection.settings_dict["OPTIONS"].pop("pool", None)
    try:
        connection.ensure_connection()
    # A wrapped engine may raise anything.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CommandError(
            f"The database can't be reached, check DATABASE_URL (in the stack secrets/database_url): {reason}"
        ) from error
    return connection


class Command(BaseCommand):
    help = "Migrates the database; where another process is doing so already, waits for it first."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--wait", type=int, default=300, help="Seconds to wait for another process. Default 300.")

    def handle(self, *, wait, verbosity, **options):
        connection = connect()
        try:
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    self.lock(cursor, wait)
            # SQLite locks the whole file.
            self.migrate(verbosity)
        finally:
            connection.close()

    def migrate(self, verbosity):
        connection = connections[DEFAULT_DB_ALIAS]
        if connection.vendor == "postgresql":
            # ALTER TABLE waits for the table's users, and later queries wait behind it.
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{TABLE_LOCK_TIMEOUT}s"])
        try:
            call_command("migrate", interactive=False, verbosity=verbosity, stdout=self.stdout)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            raise CommandError(
                f"A migration waited more than {TABLE_LOCK_TIMEOUT} s for a table that another transaction has locked, "
                f"and gave up so that requests do not wait for it. Try again when no long transaction is open."
            ) from error

    def lock(self, cursor, wait):
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if cursor.fetchone()[0]:
            return
        self.stdout.write(f"Another process is migrating: waiting up to {wait} s for it.")
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{wait}s"])
        try:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            raise CommandError(
                f"Another process has been migrating for more than {wait} s: look at its log, then try again."
            ) from error
