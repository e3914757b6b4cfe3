"""What topics cost, beside workshop.bench.letters: `python -m workshop.bench.topics NAME`.

one      one public topic, 1,000 readers, with AGAINST=FOLDER in turn with the project in another checkout
writers  200 writers in 200 topics against 200 in one, by pgbench with the SQL that publish() runs; AGAINST as above

ROUNDS (5) is how often each measures. PostgreSQL's files are in the folder for temporary files: for
`writers` that must be on a disk. FLUSH=2000 has PostgreSQL wait so many microseconds before each
flush (commit_delay): a stand-in for a slower disk, and not one.
"""

import os
import re
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from . import cells, load, measure, processes, services, workloads
from .servers import Server, shared_variables
from .sides import WISHEASY

ROUNDS = int(os.environ.get("ROUNDS", "5"))
WRITERS, SECONDS = 200, 5


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


def prepare() -> None:
    """As many files as are allowed; and what was started is stopped, also where this process is told to."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(130))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def row(name: str, figures: dict[str, list[float]]) -> None:
    """The medians, with the least and the most in brackets."""
    cells = (f"{key} {median(of):,.4g} ({min(of):,.4g} to {max(of):,.4g})" for key, of in figures.items())
    print(f"{name}: {'; '.join(cells)}", flush=True)


# --- one ---


def one() -> None:
    hub = workloads.BY_NAME["hub"]
    task = {"kind": "hub", "path": hub.path, "count": hub.clients, "times": 40}
    with ExitStack() as stack:
        servers, figures = {}, {}
        for name, checkout in checkouts().items():
            folder, _, variables = stack.enter_context(project(checkout, "workshop.lab.settings"))
            servers[name] = stack.enter_context(served(checkout, folder, variables))
        for number in range(ROUNDS):
            for name, server in list(servers.items())[:: 1 if number % 2 else -1]:
                watch, result = cells.converse(server, {**task, "port": server.port}, measure.Watch(server.roots))
                took = result["took"]
                measured = {
                    "CPU, µs": watch.cpu / len(took) * 1e6,
                    "p50, ms": load.percentile(took, 50),
                    "p99, ms": load.percentile(took, 99),
                    "errors": result["errors"],
                }
                for key, figure in measured.items():
                    figures.setdefault(name, {}).setdefault(key, []).append(figure)
        for name, of in figures.items():
            row(name, of)


# --- writers ---


def writers() -> None:
    flush = os.environ.get("FLUSH")
    slow = ("commit_siblings=0", f"commit_delay={flush}") if flush else ()
    postgres = (f"max_connections={WRITERS + 50}", "fsync=on", "synchronous_commit=on", *slow)
    pgbench = services.find_postgres().with_name("pgbench")
    with ExitStack() as stack:
        runs, figures = [], {}
        for name, checkout in checkouts().items():
            folder, _, variables = stack.enter_context(project(checkout, "workshop.lab.settings", *postgres))
            command = [sys.executable, "-c", PUBLISHED]
            statements = subprocess.check_output(command, cwd=checkout, env=variables, text=True)
            for topic in ("0", ":client_id"):
                script = folder / f"{topic.strip(':')}.sql"
                text = statements.replace("TOPIC", topic).replace("KEY", ":client_id-:number")
                script.write_text(f"\\set number random(1, 100)\n{text}")
                label = f"{name}, {'1 topic' if topic == '0' else f'{WRITERS} topics'}"
                runs.append((label, [str(pgbench), "-n", "-f", str(script), variables["DATABASE_URL"]]))
        for _ in range(ROUNDS):
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
    TASKS = {"one": one, "writers": writers}
    if len(sys.argv) < 2 or sys.argv[1] not in TASKS:
        sys.exit("Say what to measure: one or writers.")
    prepare()
    TASKS[sys.argv[1]]()
