"""Set-ups that are broken on purpose, one after the other, on one stack: the doctor names each in its first finding.
Those that need no engine are in tests/test_doctor.py and kit/ops/tests."""

import json
import re
import socket
from contextlib import contextmanager

import pytest

from .conftest import eventually

pytestmark = pytest.mark.modes("asgi")


def examine(stack, **variables):
    """The exit status, and all that is not ok."""
    result = stack.run("docker/doctor", "--json", check=False, **variables)
    assert result.stderr == ""
    return result.returncode, [each for each in json.loads(result.stdout) if each["status"] != "ok"]


# --- What .env says, where what runs is right: before a release finds out


SETTINGS = {
    "site": ({"SITE_URL": "http://localhost:1"}, "address", "SITE_URL=http://localhost:1, but Nginx is published on"),
    "variable": ({"WEB_THREADS": "many"}, "settings", "WEB_THREADS='many' is wrong"),
    "pool-over-budget": ({"WEB_CONCURRENCY": "40"}, "settings", "The workers of both slots may open 652 connections"),
    "mode": ({"SERVER_MODE": "wsgi"}, "mode", ".env says SERVER_MODE=wsgi, and asgi mode serves"),
    "dns": ({"SITE_URL": "http://www.invalid"}, "dns", "www.invalid in SITE_URL has no address"),
}  # fmt: skip


@pytest.mark.parametrize(("variables", "check", "what"), SETTINGS.values(), ids=SETTINGS)
def test_a_wrong_setting_is_the_first_finding(stack, variables, check, what):
    status, (first, *_) = examine(stack, **variables)
    assert (status, first["status"], first["check"]) == (1, "broken", check)
    assert what in first["what"]


# --- What runs


def sql(stack, command):
    stack.compose("exec", "-T", "postgres", "psql", "--username", "wisheasy", "--quiet", "--command", command)


@contextmanager
def stopped(stack, service):
    stack.compose("stop", "--timeout", "5", service)
    try:
        yield
    finally:
        stack.compose("up", "--detach", "--wait", "--no-deps", service)


@contextmanager
def postgres_down(stack):
    with stopped(stack, "postgres"):
        yield "postgres", "postgres does not run (exited)"


@contextmanager
def password_of_the_database_changed(stack):
    password = (stack.folder / "secrets/postgres_password").read_text().strip()
    sql(stack, "ALTER ROLE wisheasy PASSWORD 'another'")
    try:
        yield "database", "PostgreSQL refuses the servers' password."
    finally:
        sql(stack, f"ALTER ROLE wisheasy PASSWORD '{password}'")


@contextmanager
def other_secrets(stack, *names):
    """The password of Redis is another one in these files. Containers that run keep to what they have mounted."""
    before = {name: (stack.folder / "secrets" / name).read_text() for name in names}
    password = (stack.folder / "secrets/redis_password").read_text().strip()

    def put(name, text):
        new = stack.folder / "secrets/.new"
        new.write_text(text)
        new.replace(stack.folder / "secrets" / name)

    for name, text in before.items():
        put(name, text.replace(password, "another-password-than-that"))
    try:
        yield
    finally:
        for name, text in before.items():
            put(name, text)


@contextmanager
def password_of_redis_in_one_place(stack):
    with other_secrets(stack, "redis_password"):
        yield "secrets", "The password in secrets/redis_url differs from secrets/redis_password"


@contextmanager
def password_of_redis_not_taken_up(stack):
    with other_secrets(stack, "redis_password", "redis_url"):
        yield "redis", "Redis refuses the servers' user or password."


@contextmanager
def migration_missing(stack):
    sql(stack, "DELETE FROM django_migrations WHERE app = 'sessions'")
    try:
        yield "migrations", "Migrations are not applied: sessions.0001_initial."
    finally:
        service = f"web-{stack.slot()}"
        stack.compose("exec", "-T", service, "python", "manage.py", "migrate", "--fake", "sessions")


SIGNAL_THE_SERVER = """
import os, signal, sys
from pathlib import Path
for process in Path("/proc").glob("[0-9]*"):
    if process.name != str(os.getpid()) and b"kit.serving" in (process / "cmdline").read_bytes():
        os.kill(int(process.name), getattr(signal, sys.argv[1]))
"""


@contextmanager
def server_hanging(stack):
    service = f"web-{stack.slot()}"
    stack.compose("exec", "-T", service, "python", "-c", SIGNAL_THE_SERVER, "SIGSTOP")
    try:
        yield "servers", f"The server {service} does not answer"
    finally:
        stack.compose("exec", "-T", service, "python", "-c", SIGNAL_THE_SERVER, "SIGCONT")


@contextmanager
def nginx_of_another_mode(stack):
    slot = stack.slot()

    def publish(mode):
        command = ["docker/nginx_files", "publish"]
        stack.compose("run", "--rm", "--no-deps", "-T", "nginx-files", *command, SLOT=slot, SERVER_MODE=mode)
        stack.compose("exec", "-T", "nginx", "nginx", "-c", "/srv/nginx/current/nginx.conf", "-s", "reload")

    publish("hybrid")
    try:
        yield "mode", "Nginx is set up for hybrid mode, and asgi mode serves"
    finally:
        publish("asgi")


@contextmanager
def backups_old(stack):
    def rename(suffix, to):
        folder = "/var/lib/postgresql"
        loop = f"for file in {folder}/*{suffix}; do mv $file ${{file%{suffix}}}{to}; done"
        stack.compose("exec", "-T", "backup", "sh", "-c", loop)

    # The first one was made when the stack started.
    rename(".dump", ".hidden")
    old = "/var/lib/postgresql/wisheasy-20260101T000000Z.dump"
    stack.compose("exec", "-T", "backup", "touch", old)
    try:
        yield "backup", "The newest backup is "
    finally:
        stack.compose("exec", "-T", "backup", "rm", old)
        rename(".hidden", ".dump")


BREAKAGES = [
    postgres_down, password_of_the_database_changed, password_of_redis_in_one_place, password_of_redis_not_taken_up,
    migration_missing, server_hanging, nginx_of_another_mode,
    backups_old,
]  # fmt: skip


def assert_first(stack, check, what):
    status, (first, *_) = examine(stack)
    assert (status, first["status"], first["check"]) == (1, "broken", check), first
    assert what in first["what"]
    assert first["why"]
    assert first["fix"]


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.__name__)
def test_what_is_broken_is_the_first_finding(stack, breakage):
    with breakage(stack) as (check, what):
        assert_first(stack, check, what)
    stack.seconds_until_ready()


def test_nginx_that_is_down_is_the_first_finding_and_who_has_taken_its_port_comes_before(stack):
    with stopped(stack, "nginx"):
        assert_first(stack, "nginx", "nginx does not run (exited)")
        with socket.create_server(("127.0.0.1", stack.port)):
            assert_first(stack, "port", f"Port {stack.port} is taken by another program")


# Services of an owner's own: what is in docker-compose.override.yml, and what the doctor says of it.
OWN = {
    "loops": (
        '[sh, -c, "echo cannot open the queue; exit 3"], restart: unless-stopped',
        ("broken", "loops (ends each time Docker starts it|ends again and again.*): cannot open the queue"),
    ),
    "hungry": (
        "[tail, /dev/zero], restart: unless-stopped, mem_limit: 16m, memswap_limit: 16m",
        # While it runs again, Docker tells nothing of its last end.
        ("broken", "hungry ends .+: (the kernel killed it because it exceeded|it was killed|its log is empty)"),
    ),
    "failed": (
        '[sh, -c, "echo no such file; exit 1"], restart: "no"',
        ("broken", r"failed does not run \(exited\): no such file"),
    ),
    "sick": (
        '[sleep, "600"], healthcheck: {test: "echo out of order; false", interval: 1s, retries: 1}',
        ("broken", "sick runs, and fails its health check: out of order"),
    ),
    "fell": (
        '[sh, -c, "test -e /tmp/fell || { touch /tmp/fell; exit 1; }; exec sleep 600"], restart: unless-stopped',
        ("warning", "fell ended within the last 1 min, and Docker started it again"),
    ),
    "missing": ('["true"]', ("broken", "missing has no container")),
    "done": ('["true"], restart: "no"', None),
}  # fmt: skip


@pytest.fixture
def own_services(stack):
    """They have run for a moment."""
    override = stack.folder / "docker-compose.override.yml"
    services = (f"  {name}: {{image: 'redis:8', init: true, entrypoint: {rest}}}\n" for name, (rest, _) in OWN.items())
    override.write_text("services:\n" + "".join(services))

    def of(name, field):
        identifier = stack.compose("ps", "--all", "--quiet", name).stdout.strip()
        return stack.run("docker", "inspect", "--format", f"{{{{.{field}}}}}", identifier).stdout.strip()

    names = OWN.keys() - {"missing"}
    try:
        stack.compose("up", "--detach", "--no-deps", *names)
        for name in ("loops", "hungry"):
            eventually(lambda name=name: int(of(name, "RestartCount")) > 1, within=30)
        eventually(lambda: of("fell", "RestartCount") == "1")
        eventually(lambda: of("sick", "State.Health.Status") == "unhealthy")
        yield
    finally:
        stack.compose("rm", "--stop", "--force", "--volumes", *names)
        override.unlink()


def test_services_of_your_own_are_looked_at_too(stack, own_services):
    status, findings = examine(stack)
    found = {each["check"]: (each["status"], each["what"]) for each in findings}
    assert status == 1
    for name, (_, expected) in OWN.items():
        if expected:
            assert found[name][0] == expected[0]
            assert re.match(expected[1], found[name][1])
        else:
            assert name not in found


def test_when_all_is_mended_nothing_is_wrong_and_all_of_it_was_looked_at(stack):
    stack.seconds_until_ready()
    findings = json.loads(stack.run("make", "doctor", "JSON=1").stdout)
    # A test before this one may have killed a container.
    wrong = [each for each in findings if each["status"] != "ok" and "Docker started it again" not in each["what"]]
    assert wrong == []
    looked_at = {each["check"] for each in findings}
    assert looked_at >= {
        "docker", "compose", "env", "secrets", "permissions", "clock", "disk", "cpus", "memory", "address", "port",
        "postgres", "redis", "settings", "database", "connections", "migrations", "push", f"web-{stack.slot()}",
        "nginx", "mode", "published", "servers", "page", "csrf", "websocket", "backup", "changes",
    }  # fmt: skip
