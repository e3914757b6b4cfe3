"""What private topics with one signed-in reader each cost: `python -m workshop.bench.letters`.

TOPICS (10,000) of them on one worker: memory, CPU and queries while nothing happens, p99 of a delivery, and what is
left when all have gone; in ROUNDS (2).
"""

import json
import os
import random
import re
import secrets
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import redis

from . import load, measure, processes, sockets, topics
from .servers import Server

TOPICS = int(os.environ.get("TOPICS", "10000"))
ROUNDS = int(os.environ.get("ROUNDS", "2"))
# Seconds without a change, and changes.
IDLE, CHANGES = 60, 400


def measure_all() -> None:
    with ExitStack() as stack:
        folder, around, variables = stack.enter_context(
            topics.project(processes.ROOT, "workshop.bench.letters_settings")
        )
        server = stack.enter_context(topics.served(processes.ROOT, folder, variables))
        tell = stack.enter_context(_members(server))
        for number in range(1, 1 + ROUNDS):
            print(f"Round {number}, {TOPICS:,} topics", flush=True)
            _many(server, tell, around, folder)
            log = (folder / "server.log").read_text()
            print(*(line for line in log.splitlines() if '"INFO"' not in line), sep="\n")


def _many(server, tell, around, folder) -> None:
    tell("open", 50)
    tell("close")
    subscriptions = redis.Redis.from_url(server.variables["REDIS_URL"])

    def held():
        connection = HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/inside")
        channels = subscriptions.pubsub_channels()
        return json.load(connection.getresponse()) | {"Redis channels": len(channels), "keys": subscriptions.dbsize()}

    before, empty = held(), measure.memory(server.roots)
    with measure.Watch(server.roots) as watch:
        opened = tell("open", TOPICS)
    print(f"  opened {opened:,} in {watch.seconds:.0f} s, {watch.cpu / TOPICS * 1e6:.0f} µs of CPU each")
    tell("hold", 15)
    full = measure.memory(server.roots)
    print(f"  memory {empty >> 20} MB, then {full >> 20} MB: {(full - empty) / TOPICS / 1024:.1f} KB each")
    print(f"  held: {held()}", flush=True)
    with _queries(around, folder) as asked, measure.Watch(server.roots) as watch:
        tell("hold", IDLE)
    print(f"  idle for {watch.seconds:.0f} s: {watch.cpu / watch.seconds:.2%} of a core")
    print(f"  {sum(asked.values()) / watch.seconds:.2f} queries a second: {asked}")
    print(f"  held: {held()}")
    with measure.Watch(server.roots) as watch:
        took = tell("change", CHANGES)
    p50, p99 = load.percentile(took, 50), load.percentile(took, 99)
    print(f"  {len(took)} of {CHANGES} delivered: p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {max(took):.1f} ms")
    print(f"  lost sockets: {tell('close')}")
    for _ in range(5):
        time.sleep(3)
        left = measure.memory(server.roots)
        print(f"  closed: {left >> 20} MB, {left / empty - 1:+.1%}", flush=True)
    print(f"  held before: {before}\n  held after:  {held()}", flush=True)


@contextmanager
def _queries(around, folder: Path):
    """A dict that has, after the context, how often each statement was run in it."""
    found: dict[str, int] = {}
    admin, log = around.backends.connection, folder / "postgres.log"

    def logged(statements: str) -> None:
        admin.execute(f"ALTER SYSTEM SET log_statement = '{statements}'")
        admin.execute("SELECT pg_reload_conf()")
        time.sleep(1)

    logged("all")
    start = log.stat().st_size
    try:
        yield found
    finally:
        with log.open() as lines:
            lines.seek(start)
            for statement in re.findall(r"LOG:  (?:statement|execute [^:]+): (.{,60})", lines.read()):
                found[statement] = found.get(statement, 0) + 1
        logged("none")


@contextmanager
def _members(server: Server):
    """The process that holds the readers: a function that has it do one thing and gives its answer."""
    with subprocess.Popen(
        [sys.executable, "-m", "workshop.bench.letters", str(server.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=server.checkout,
        env={**server.variables, "TOPICS": str(TOPICS)},
    ) as process:

        def tell(what: str, number: int = 0):
            process.stdin.write(f"{what} {number}\n")
            process.stdin.flush()
            if not (line := process.stdout.readline()):
                raise SystemExit(f"The members could not {what}.")
            return json.loads(line)

        yield tell
        process.stdin.close()


def members(port: int) -> None:
    """Does what its input says, a line each, and writes an answer of one line."""
    requests, change = _sessions(port)
    client = None
    for line in sys.stdin:
        what, number = line.split()
        answer = None
        if what == "open":
            client = sockets.Client(port, requests[: int(number)])
            client.hear(2)
            owners = {each.getsockname(): owner for owner, each in enumerate(client.sockets)}
            answer = len(owners)
        elif what == "hold":
            client.hear(int(number))
        elif what == "change":
            answer = []
            for each in range(int(number)):
                sent, token = time.perf_counter(), f"{time.time_ns()}{each}"
                change(random.randrange(len(client.sockets)), token)
                answer += [(moment - sent) * 1000 for moment in client.hear(10, token.encode(), 1)]
                client.hear(random.random() / 5)
        elif what == "close":
            answer = client.refused + client.lost
            client.selector.close()
            for each in client.sockets:
                each.close()
        print(json.dumps(answer), flush=True)


def _sessions(port: int):
    """The handshake of each member, and what publishes a change in the topic of one."""
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.auth.hashers import make_password
    from django.contrib.sessions.models import Session
    from django.db import transaction
    from django.utils import timezone

    from kit.live import publish
    from kit.sessions import SessionStore

    User, store = get_user_model(), SessionStore()
    users = User.objects.bulk_create(User(username=f"m{n}", password=make_password(None)) for n in range(TOPICS))
    sessions = [
        Session(
            session_key=secrets.token_hex(16),
            expire_date=timezone.now() + timezone.timedelta(days=1),
            session_data=store.encode(
                {
                    SESSION_KEY: str(user.pk),
                    BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[0],
                    HASH_SESSION_KEY: user.get_session_auth_hash(),
                }
            ),
        )
        for user in users
    ]
    Session.objects.bulk_create(sessions)

    def change(number: int, key: str) -> None:
        with transaction.atomic():
            publish(f"letters/{users[number].pk}", key)

    cookies = (f"{settings.SESSION_COOKIE_NAME}={each.session_key}" for each in sessions)
    return [
        sockets.handshake(port, f"/live/letters/{user.pk}/ws", cookie)
        for user, cookie in zip(users, cookies, strict=True)
    ], change


if __name__ == "__main__":
    topics.prepare()
    if len(sys.argv) > 1:
        members(int(sys.argv[1]))
    else:
        measure_all()
