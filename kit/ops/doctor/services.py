"""What the stack rests on, asked with the settings that .env and secrets/ have now, whatever runs."""

import asyncio
import secrets
from collections.abc import Iterator

import redis
from channels.layers import get_channel_layer
from django.conf import settings
from django.core.checks import ERROR, WARNING, run_checks
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from kit.ops import health
from kit.ops.checks import RESERVED_CONNECTIONS

from .findings import Finding, broken, ok, warning

# Share of a budget above which there is little left.
NEARLY_USED_UP = 0.9
# Seconds for a message to go through Redis.
PUSHED_WITHIN = 5


def check_settings() -> Iterator[Finding]:
    """Django's system checks, its own and ours."""
    messages = [
        message
        for message in run_checks(include_deployment_checks=True)
        if message.level >= WARNING and not message.is_silenced()
    ]
    for message in sorted(messages, key=lambda message: -message.level):
        what, hint = f"{message.msg} ({message.id})", message.hint or "See manage.py check --deploy."
        if message.level >= ERROR:
            yield broken(what, "No release starts with an error of Django's system checks.", hint)
        else:
            yield warning(what, "Django's system checks warn of it.", hint)
    if not messages:
        yield ok("Django's system checks find nothing")


def check_database() -> Iterator[Finding]:
    connection = _connection()
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        yield _no_database(str(error).strip())
    else:
        yield ok(f"{connection.display_name} answers")
    finally:
        connection.close()


def _connection():
    """One of its own, outside any pool: a pool that can't connect keeps a process from ending."""
    connection = connections[DEFAULT_DB_ALIAS].copy()
    connection.settings_dict["OPTIONS"].pop("pool", None)
    return connection


def _no_database(error: str) -> Finding:
    why = "Without the database every page is answered 500 or 503."
    if "password authentication failed" in error:
        return broken(
            "PostgreSQL refuses the password that the servers have.",
            f"{why} PostgreSQL remembers the one that it was made with.",
            f"Put the old password back into secrets/, or give PostgreSQL the new one: {_psql('\\password')}",
        )
    if "does not exist" in error:
        return broken(
            f"PostgreSQL says: {_last(error)}", why, "Restore a backup (make restore FILE=…), or run make release."
        )
    if "too many clients" in error or "remaining connection slots" in error:
        return broken(
            "PostgreSQL has no connection left.",
            f"{why} Somebody uses more than DATABASE_MAX_CONNECTIONS={settings.DATABASE_MAX_CONNECTIONS} allows for.",
            _whose_connections(),
        )
    return broken(
        f"The database does not answer: {_last(error)}",
        why,
        "docker compose up --detach --wait postgres; where it is elsewhere, correct secrets/database_url",
    )


def _psql(command: str) -> str:
    return f"docker compose exec postgres psql --username {settings.DATABASES['default']['USER']} --command '{command}'"


def _whose_connections() -> str:
    counted = "SELECT application_name, client_addr, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3"
    return f"See whose they are: {_psql(counted)}"


def _last(error: str) -> str:
    """The last line: libpq puts the attempts before the reason."""
    return error.splitlines()[-1].strip()


# The least of what the server, this role and this database allow, and how many of those are open: a provider's plan may
# be any of the three.
LIMIT_OF_CONNECTIONS = """
WITH open AS (SELECT usename, datname FROM pg_stat_activity WHERE backend_type = 'client backend')
SELECT current_setting('max_connections')::int, (SELECT count(*) FROM open)
UNION SELECT rolconnlimit, (SELECT count(*) FROM open WHERE usename = rolname)
FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0
UNION SELECT datconnlimit, (SELECT count(*) FROM open WHERE datname = pg_database.datname)
FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0
ORDER BY 1 LIMIT 1
"""


def check_connections() -> Iterator[Finding]:
    """What the servers may open, and what is open, against what PostgreSQL gives."""
    connection = _connection()
    if connection.vendor != "postgresql":
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute(LIMIT_OF_CONNECTIONS)
            most, used = cursor.fetchone()
    finally:
        connection.close()
    needed = settings.DATABASE_CONNECTIONS + RESERVED_CONNECTIONS
    # Whether it is over DATABASE_MAX_CONNECTIONS, the system checks say.
    if most < needed <= settings.DATABASE_MAX_CONNECTIONS:
        yield broken(
            f"PostgreSQL gives {most} connections, not DATABASE_MAX_CONNECTIONS={settings.DATABASE_MAX_CONNECTIONS}; "
            f"the servers may open {settings.DATABASE_CONNECTIONS}.",
            "Under load, requests are answered 500: too many clients already.",
            "docker compose up --detach --wait postgres; of a database elsewhere, correct the number in .env",
        )
    elif used > most * NEARLY_USED_UP:
        yield warning(
            f"{used} of PostgreSQL's {most} connections are open.",
            "When none is left, requests are answered 500.",
            _whose_connections(),
        )
    else:
        yield ok(f"{used} of {most} are open, the servers open {settings.DATABASE_CONNECTIONS} at most")


def check_migrations() -> Iterator[Finding]:
    connection = _connection()
    try:
        executor = MigrationExecutor(connection)
        left = [str(migration) for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    finally:
        connection.close()
    if left:
        yield broken(
            f"Migrations are not applied: {', '.join(left[:5])}{', …' if len(left) > 5 else ''}.",
            "Pages that need what they make are answered 500.",
            "docker compose run --rm migrate",
        )
    else:
        yield ok("all are applied")


def check_redis() -> Iterator[Finding]:
    if not settings.REDIS_URL:
        return
    why = "A change reaches open pages some seconds later, by polling: pushes go through Redis."
    try:
        with health.redis_client() as client:
            client.ping()
            memory = _redis_memory(client)
    except redis.AuthenticationError:
        yield broken(
            "Redis refuses the name or the password that the servers have.",
            why,
            "Make redis_url and redis_password in secrets/ agree, then docker compose restart redis, then make release",
        )
    except redis.RedisError as error:
        yield broken(
            f"Redis does not answer: {error}",
            why,
            "docker compose up --detach --wait redis; where it is elsewhere, correct secrets/redis_url",
        )
    else:
        if memory and memory[0] > memory[1] * NEARLY_USED_UP:
            yield warning(
                f"Redis holds {memory[0] >> 20} MB of the {memory[1] >> 20} that it may.",
                "It throws away what it has no room for.",
                "Raise REDIS_MAXMEMORY in .env, and REDIS_MEMORY with it, then docker compose up --detach --wait redis",
            )
        else:
            yield ok("Redis answers")


def _redis_memory(client) -> tuple[int, int] | None:
    """Bytes used and the most that may be, where the user of REDIS_URL may know and there is a limit."""
    try:
        info = client.info("memory")
    except redis.ResponseError:
        return None
    return (info["used_memory"], info["maxmemory"]) if info.get("maxmemory") else None


def check_push() -> Iterator[Finding]:
    """A message from one member of a group to another, through the channel layer."""
    if not settings.REDIS_URL:
        return
    try:
        asyncio.run(_push())
    except TimeoutError:
        reason = f"it did not arrive within {PUSHED_WITHIN} s"
    except (OSError, redis.RedisError) as error:
        reason = str(error)
    else:
        yield ok("a message goes through Redis to another process")
        return
    yield broken(
        f"Redis answers, but passes no message on: {reason}.",
        "A change reaches open pages some seconds later, by polling.",
        "docker compose restart redis",
    )


async def _push() -> None:
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
