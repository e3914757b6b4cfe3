"""Migrates under a PostgreSQL advisory lock: containers that start together must not migrate together."""

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections

# Any number will do, as long as nothing else in this database locks the same one.
LOCK = 0x77697368
LOCK_NOT_AVAILABLE = "55P03"
# Seconds that a migration waits for the lock of a table.
TABLE_LOCK_TIMEOUT = 5


def connect():
    """A connection of its own, outside any pool: the lock goes with its session, and a pool that can't connect keeps a
    process from ending."""
    connection = connections[DEFAULT_DB_ALIAS].copy()
    connection.settings_dict["OPTIONS"].pop("pool", None)
    try:
        connection.ensure_connection()
    # Of a wrapped engine it may be anything.
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
            # SQLite locks the whole file by itself.
            self.migrate(verbosity)
        finally:
            connection.close()

    def migrate(self, verbosity):
        connection = connections[DEFAULT_DB_ALIAS]
        if connection.vendor == "postgresql":
            # A change of a table waits for those who use it, and whoever comes after waits behind it.
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{TABLE_LOCK_TIMEOUT}s"])
        try:
            call_command("migrate", interactive=False, verbosity=verbosity, stdout=self.stdout)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            raise CommandError(
                f"A migration waited more than {TABLE_LOCK_TIMEOUT} s for a table that somebody else has locked, and "
                f"gave up so that nobody has to wait behind it: try again when no long transaction is open."
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
