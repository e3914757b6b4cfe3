"""Checks of the services behind the stack, with the current settings of .env and secrets/, whatever is running."""

import asyncio
import secrets
import smtplib
from contextlib import contextmanager
from datetime import timedelta

import redis
from channels.layers import get_channel_layer
from django.apps import apps
from django.conf import settings
from django.core.checks import ERROR, WARNING, run_checks
from django.core.mail import mailers
from django.core.mail.backends import smtp
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Min, Q
from django.db.models.functions import Coalesce, Now
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from kit.ops import health
from kit.ops.checks import NO_SERVER, RESERVED_CONNECTIONS

from . import broken, ok, warning

# The used share of a limit from which a finding warns.
NEARLY_USED_UP = 0.9
# Minutes that a job may be due before a finding warns.
JOBS_WAIT_WITHIN = 5
# Seconds for a message to pass through Redis.
PUSHED_WITHIN = 5
MORE_MEMORY = "Raise REDIS_MAXMEMORY in .env, and REDIS_MEMORY with it, then docker compose up --detach --wait redis"
LATE = "A change reaches open pages some seconds later, by polling: pushes go through Redis."


def check_settings():
    """Django's system checks, including the project's and kit's."""
    messages = [
        message
        for message in run_checks(include_deployment_checks=True)
        if message.level >= WARNING and not message.is_silenced()
    ]
    for message in sorted(messages, key=lambda message: -message.level):
        what, hint = f"{message.msg} ({message.id})", message.hint or "See manage.py check --deploy."
        if message.level >= ERROR:
            yield broken(what, "An error of Django's system checks stops a release.", hint)
        else:
            yield warning(what, "Django's system checks warn about it.", hint)
    if not messages:
        yield ok("Django's system checks find nothing")


@contextmanager
def _connection():
    """A connection outside any pool: a pool that can't connect keeps the process from exiting."""
    connection = connections[DEFAULT_DB_ALIAS].copy()
    connection.settings_dict["OPTIONS"].pop("pool", None)
    try:
        yield connection
    finally:
        connection.close()


def check_database():
    try:
        with _connection() as connection:
            connection.ensure_connection()
            yield ok(f"{connection.display_name} answers")
    # A wrapped engine may raise anything.
    except Exception as error:
        yield _no_database(str(error).strip())


def _no_database(error):
    why = "Without the database every page fails with 500 or 503."
    # libpq lists its attempts before the reason.
    reason = error.splitlines()[-1].strip()
    if "password authentication failed" in error:
        return broken(
            "PostgreSQL refuses the servers' password.",
            f"{why} PostgreSQL keeps the password that it was created with.",
            f"Put the old password back into secrets/, or give PostgreSQL the new one: {_psql('\\password')}",
        )
    if "does not exist" in error:
        return broken(f"PostgreSQL says: {reason}", why, "Restore a backup (make restore FILE=…), or run make release.")
    if "too many clients" in error or "remaining connection slots" in error:
        return broken(
            "PostgreSQL has no connection left.",
            f"{why} More are open than DATABASE_MAX_CONNECTIONS={settings.DATABASE_MAX_CONNECTIONS} allows for.",
            _whose_connections(),
        )
    start = "docker compose up --detach --wait postgres; if it is elsewhere, correct secrets/database_url"
    return broken(f"The database does not answer: {reason}", why, start)


def check_jobs():
    """Do workers run the jobs that are due? Which have they given up?"""
    if not apps.is_installed("django_ox"):
        return
    from django_ox.models import OxTask

    address = f"{settings.SITE_URL}{reverse('admin:django_ox_oxtask_changelist')}" if _has_admin() else "the admin"
    try:
        due = OxTask.objects.filter(Q(run_after=None) | Q(run_after__lt=Now()), status="READY")
        oldest = due.aggregate(at=Min(Coalesce("run_after", "enqueued_at")))["at"]
        failed = OxTask.objects.filter(status="FAILED", finished_at__gt=timezone.now() - timedelta(days=1)).count()
    except DatabaseError:
        # Other checks report a database that doesn't answer or isn't migrated.
        return
    minutes = int((timezone.now() - oldest).total_seconds() / 60) if oldest else 0
    if oldest and minutes >= JOBS_WAIT_WITHIN:
        none = "WORKER_PROCESSES=0" if not settings.WORKER_PROCESSES else "the workers are busy, or none runs"
        yield warning(
            f"{due.count()} jobs wait, the oldest for {minutes} min: {none}.",
            "Mails and other jobs are late.",
            "docker compose logs --tail 50 worker-$(docker/read_env SLOT), or raise WORKER_PROCESSES in .env and make "
            "release",
        )
    else:
        yield ok("no job waits for long")
    if failed:
        yield warning(
            f"{failed} jobs failed for good within a day",
            "They are not retried automatically.",
            f"read their tracebacks, and retry them, in {address}?status__exact=FAILED",
        )


def _has_admin():
    try:
        return bool(reverse("admin:django_ox_oxtask_changelist"))
    except NoReverseMatch:
        return False


def _psql(command):
    return f"docker compose exec postgres psql --username {settings.DATABASES['default']['USER']} --command '{command}'"


def _whose_connections():
    counted = "SELECT application_name, client_addr, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3"
    return f"See who opened them: {_psql(counted)}"


# The lowest of the limits of the server, the role and the database, with the number of open connections that count
# towards it: a provider's plan may set any of the three.
LIMIT_OF_CONNECTIONS = """
WITH open AS (SELECT usename, datname FROM pg_stat_activity WHERE backend_type = 'client backend')
SELECT current_setting('max_connections')::int, (SELECT count(*) FROM open)
UNION SELECT rolconnlimit, (SELECT count(*) FROM open WHERE usename = rolname)
FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0
UNION SELECT datconnlimit, (SELECT count(*) FROM open WHERE datname = pg_database.datname)
FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0
ORDER BY 1 LIMIT 1
"""


def check_connections():
    """Compares the connections that the servers may open, and the open ones, with PostgreSQL's limit."""
    with _connection() as connection:
        if connection.vendor != "postgresql":
            return
        with connection.cursor() as cursor:
            cursor.execute(LIMIT_OF_CONNECTIONS)
            most, used = cursor.fetchone()
    servers, reckoned = settings.DATABASE_CONNECTIONS, settings.DATABASE_MAX_CONNECTIONS
    # The system checks report it if the servers exceed DATABASE_MAX_CONNECTIONS.
    if most < servers + RESERVED_CONNECTIONS <= reckoned:
        yield broken(
            f"PostgreSQL gives {most} connections, not DATABASE_MAX_CONNECTIONS={reckoned}; the servers may open "
            f"{servers}.",
            "Under load, requests fail with 500: too many clients already.",
            "docker compose up --detach --wait postgres; of a database elsewhere, correct the number in .env",
        )
    elif used > most * NEARLY_USED_UP:
        what = f"{used} of PostgreSQL's {most} connections are open."
        yield warning(what, "When none is left, requests fail with 500.", _whose_connections())
    else:
        yield ok(f"{used} of {most} are open, the servers open {servers} at most")


def check_migrations():
    with _connection() as connection:
        executor = MigrationExecutor(connection)
        left = [str(migration) for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    if left:
        what = f"Migrations are not applied: {', '.join(left[:5])}{', …' if len(left) > 5 else ''}."
        yield broken(what, "Pages that need them answer 500.", "docker compose run --rm migrate")
    else:
        yield ok("all are applied")


def check_redis():
    if not settings.REDIS_URL:
        return
    try:
        with health.redis_client() as client:
            client.ping()
            used, most = _redis_memory(client)
    except redis.AuthenticationError:
        yield broken(
            "Redis refuses the servers' user or password.",
            LATE,
            "Make redis_url and redis_password in secrets/ agree, then docker compose restart redis, then make release",
        )
    except redis.RedisError as error:
        start = "docker compose up --detach --wait redis; if it is elsewhere, correct secrets/redis_url"
        yield broken(f"Redis does not answer: {error}", LATE, start)
    else:
        if used > most * NEARLY_USED_UP:
            yield warning(
                f"Redis holds {used >> 20} MB of the {most >> 20} that it may.",
                "It deletes keys to make room.",
                MORE_MEMORY,
            )
        else:
            yield ok("Redis answers")


def _redis_memory(client):
    """Bytes used and the limit; empty if the user of REDIS_URL may not ask, or there is no limit."""
    try:
        info = client.info("memory")
    except redis.ResponseError:
        return 0, 0
    return (info["used_memory"], info["maxmemory"]) if info.get("maxmemory") else (0, 0)


def check_push():
    """Sends a message through the channel layer from one member of a group to another."""
    if not settings.REDIS_URL:
        return
    try:
        asyncio.run(_push())
        yield ok("a message goes through Redis to another process")
    except (OSError, redis.RedisError) as error:
        # A TimeoutError has no message.
        reason = str(error) or f"it did not arrive within {PUSHED_WITHIN} s"
        yield broken(f"Redis answers, but delivers no message: {reason}.", LATE, "docker compose restart redis")


async def _push():
    layer = get_channel_layer()
    group = f"doctor-{secrets.token_hex(8)}"
    channel = await layer.new_channel()
    try:
        async with asyncio.timeout(PUSHED_WITHIN):
            await layer.group_add(group, channel)
            await layer.group_send(group, {"type": "doctor.knocks"})
            await layer.receive(channel)
    finally:
        await layer.group_discard(group, channel)


def check_cache():
    """Bypasses kit.cache, which hides failures of Redis."""
    cache = settings.CACHES["default"]
    if cache["BACKEND"] != "kit.cache.RedisCache":
        return
    key = f"{cache['KEY_PREFIX']}:doctor-{secrets.token_hex(8)}"
    try:
        with health.redis_client(cache["LOCATION"][0]) as client:
            client.set(key, "here", ex=60)
            is_kept = client.get(key) == b"here"
            client.delete(key)
    except redis.RedisError as error:
        yield broken(
            f"The cache in Redis does not work: {error}",
            "No page fails, but nothing is cached, and limits that count there let everything through.",
            "docker compose restart redis; if it is elsewhere, correct secrets/app/cache_url",
        )
    else:
        if is_kept:
            yield ok("Redis keeps cached keys")
        else:
            yield warning("Redis has deleted a key that was just cached.", "It is full.", MORE_MEMORY)


def check_mail():
    """Does the mail server accept the connection, TLS and the password? It sends no mail."""
    if settings.MAILERS["server"].get("BACKEND") == NO_SERVER:
        # The system checks report it if a mail server is required.
        yield ok("no mail is sent: EMAIL_URL is missing")
        return
    server = mailers["server"]
    if not isinstance(server, smtp.EmailBackend):
        return
    try:
        server.open()
        server.close()
    except (OSError, smtplib.SMTPException) as error:
        yield broken(
            f"The mail server {server.host}:{server.port} does not work: {str(error) or type(error).__name__}",
            "Mails are retried for half an hour; then they stay in the admin.",
            "correct secrets/app/email_url (docker/configure EMAIL_URL=-), then make release",
        )
    else:
        yield ok(f"the mail server {server.host}:{server.port} answers")
