"""What many topics cost: `python -m workshop.bench.topics NAME`.

many     TOPICS (10,000) private topics with one signed-in reader each, on one worker: memory, idle CPU and queries,
         p99 of a delivery, and what is left when all have gone
one      one public topic, 1,000 readers, with AGAINST=FOLDER in turn with the project in another checkout
writers  200 writers in 200 topics against 200 in one, by pgbench with the SQL that publish() runs; AGAINST as above

ROUNDS is how often each measures (many: 2, else 5). PostgreSQL's files are in the folder for temporary files: for
`writers` that must be on a disk. FLUSH=2000 makes each of its flushes take so many microseconds longer.
"""

import json
import os
import re
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

import redis

from . import cells, load, measure, processes, services, sockets, workloads
from .servers import Server, shared_variables
from .sides import WISHEASY

TOPICS = int(os.environ.get("TOPICS", "10000"))
ROUNDS = int(os.environ.get("ROUNDS", "0"))
WRITERS, SECONDS = 200, 5
IDLE, CHANGES = 60, 400


# --- What is measured, and what is around it ---


@contextmanager
def project(checkout: Path, settings: str, *postgres: str):
    """Services and variables for the project in `checkout`, and a folder for logs."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        around = stack.enter_context(services.services(folder, postgres or services.POSTGRES_SETTINGS))
        variables = {
            **shared_variables(folder, around.variables, secrets.token_urlsafe(64)),
            "DJANGO_SETTINGS_MODULE": settings,
            "PYTHONPATH": str(checkout),
            "SERVER_MODE": "asgi",
            "WEB_CONCURRENCY": "1",
        }
        processes.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"], "migrate", env=variables, cwd=checkout
        )
        yield folder, around, variables


@contextmanager
def served(checkout: Path, folder: Path, variables: dict[str, str]):
    port, log = processes.free_port(), folder / "server.log"
    command = [sys.executable, *WISHEASY.split()[1:]]
    with processes.running(command, log, stop_signal=9, cwd=checkout, env={**variables, "PORT": str(port)}) as process:
        processes.until_answers(process, port, log)
        yield Server([process.pid], port, port, variables, checkout)


def checkouts() -> dict[str, Path]:
    other = os.environ.get("AGAINST")
    return {**({"AGAINST": Path(other).resolve()} if other else {}), "this": processes.ROOT}


def row(name: str, figures: dict[str, list[float]]) -> None:
    """The medians, with the least and the most in brackets."""
    cells = (f"{key} {median(of):,.4g} ({min(of):,.4g} to {max(of):,.4g})" for key, of in figures.items())
    print(f"{name}: {'; '.join(cells)}", flush=True)


# --- many ---


def many() -> None:
    with project(processes.ROOT, "workshop.bench.letters") as (folder, around, variables):
        with served(processes.ROOT, folder, variables) as server, _members(server) as tell:
            for number in range(1, 1 + (ROUNDS or 2)):
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
        [sys.executable, "-m", "workshop.bench.topics", "members", str(server.port)],
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
    import random

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


# --- one ---


def one() -> None:
    hub = workloads.BY_NAME["hub"]
    task = {"kind": "hub", "path": hub.path, "count": hub.clients, "times": 40}
    with ExitStack() as stack:
        servers, figures = {}, {}
        for name, checkout in checkouts().items():
            folder, _, variables = stack.enter_context(project(checkout, "workshop.lab.settings"))
            servers[name] = stack.enter_context(served(checkout, folder, variables))
        for number in range(ROUNDS or 5):
            for name, server in list(servers.items())[:: 1 if number % 2 else -1]:
                watch, result = cells._converse(server, {**task, "port": server.port}, None)
                took, of = result["took"], figures.setdefault(name, {"CPU, µs": [], "p50": [], "p99": [], "errors": []})
                for key, figure in zip(
                    of,
                    (watch.cpu / len(took) * 1e6, load.percentile(took, 50), load.percentile(took, 99), result["errors"]),
                    strict=True,
                ):
                    of[key].append(figure)
        for name, of in figures.items():
            row(name, of)


# --- writers ---


def writers() -> None:
    slow = ("commit_siblings=0", f"commit_delay={os.environ['FLUSH']}") if "FLUSH" in os.environ else ()
    postgres = (f"max_connections={WRITERS + 50}", "fsync=on", "synchronous_commit=on", *slow)
    pgbench = services.find_postgres().with_name("pgbench")
    with ExitStack() as stack:
        runs, figures = [], {}
        for name, checkout in checkouts().items():
            folder, around, variables = stack.enter_context(project(checkout, "workshop.lab.settings", *postgres))
            statements = subprocess.run(
                [sys.executable, "-c", PUBLISHED], cwd=checkout, env=variables, check=True, capture_output=True, text=True
            ).stdout
            for topic in ("0", ":client_id"):
                script = folder / f"{topic.strip(':')}.sql"
                text = statements.replace("TOPIC", topic).replace("KEY", ":client_id-:number")
                script.write_text(f"\\set number random(1, 100)\n{text}")
                label = f"{name}, {'1 topic' if topic == '0' else f'{WRITERS} topics'}"
                runs.append((label, [str(pgbench), "-n", "-f", str(script), variables["DATABASE_URL"]]))
        for _ in range(ROUNDS or 5):
            for label, command in runs:
                words = [*command[:1], "-c", str(WRITERS), "-j", "2", "-T", str(SECONDS), *command[1:]]
                done = subprocess.run(words, capture_output=True, text=True, check=True)
                commits = float(re.search(r"tps = ([\d.]+) \(without", done.stdout)[1])
                figures.setdefault(label, []).append(commits)
    for label, of in figures.items():
        row(label, {"commits a second": of})


# What a transaction that publishes one change sends to the database, as text.
PUBLISHED = """
import django
django.setup()
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from kit.live import publish, register
try:
    register("writers/<slug:topic>", lambda keys, topic: {}, public=True)
except TypeError:
    pass
connection.ensure_connection()
with CaptureQueriesContext(connection) as queries, transaction.atomic():
    publish("writers/TOPIC", "KEY")
for query in queries:
    print(query["sql"].rstrip(";") + ";")
"""


if __name__ == "__main__":
    # What was started is stopped, also where this one is told to.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(130))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    TASKS = {"many": many, "one": one, "writers": writers, "members": members}
    if len(sys.argv) < 2 or sys.argv[1] not in TASKS:
        sys.exit("Say what to measure: many, one or writers.")
    TASKS[sys.argv[1]](*map(int, sys.argv[2:]))
