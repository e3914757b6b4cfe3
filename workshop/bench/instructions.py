"""Instructions per request, which a busy machine does not change: `make -C workshop instructions`.

REVISIONS="main HEAD"  these commits beside each other, and not the files as they are
LAYERS=1               what each middleware costs a page without a query
Variables of the project count, METRICS=1 and DATABASE_URL (without it, an SQLite file) among them.
"""

import asyncio
import os
import re
import string
import subprocess
import sys
import tempfile
import traceback
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIGN_IN, BOARD = "/accounts/login/", "/"
ROWS = [
    ("wsgi", "/lab/plain/sync"), ("wsgi", "/lab/query/sync"), ("wsgi", SIGN_IN), ("wsgi", BOARD),
    ("asgi", "/lab/plain/async"), ("asgi", "/lab/query/async"), ("asgi", SIGN_IN), ("asgi", BOARD),
]  # fmt: skip
PLAIN = [ROWS[0], ROWS[4]]
# What only the first requests do, and what the fork does, is in both.
FEW, MANY = 40, 240


def main() -> None:
    if os.environ.pop("LAYERS", ""):
        measure_layers()
        return
    revisions = os.environ.pop("REVISIONS", "").split()
    measured = []
    for revision in revisions or [""]:
        with tempfile.TemporaryDirectory() as folder, checkout(revision, folder) as tree:
            measured.append(measure(tree, folder))
    print(f"{'thousands of instructions':28}", *(f"{each or 'here':>12.12}" for each in revisions or [""]))
    for (mode, path), *counts in zip(ROWS, *measured, strict=True):
        columns = [f"{count / 1000:12,.0f}" for count in counts]
        print(f"{mode} {path:23}", *columns, *(f"{count / counts[0]:8.3f}" for count in counts[1:]))


def measure_layers() -> None:
    """What a page costs less each time that the innermost middleware is left out, too."""
    sys.path.insert(0, str(ROOT))
    os.environ["DJANGO_SETTINGS_MODULE"] = "workshop.lab.settings"
    from django.conf import settings

    print(f"{'thousands of instructions':60} {'wsgi':>8} {'asgi':>8}")
    with tempfile.TemporaryDirectory() as folder:
        outer = measure(ROOT, folder, PLAIN)
        print_layer("a page without a query", outer)
        for kept in reversed(range(len(settings.MIDDLEWARE))):
            with_it, outer = outer, measure(ROOT, folder, PLAIN, MIDDLEWARE_KEPT=str(kept))
            costs = [all_ - less for all_, less in zip(with_it, outer, strict=True)]
            print_layer(f"  {settings.MIDDLEWARE[kept]}", costs)
        print_layer("  the rest: resolving, the view, the answer", outer)


def print_layer(name: str, counts: list[float]) -> None:
    print(f"{name:60}", *(f"{count / 1000:8,.0f}" for count in counts), flush=True)


@contextmanager
def checkout(revision: str, folder: str):
    if not revision:
        yield ROOT
        return
    tree = Path(folder, "tree")
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, revision], cwd=ROOT, check=True)
    try:
        yield tree
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def measure(tree: Path, folder: str, rows: list = ROWS, **more: str) -> list[float]:
    """For each of `rows`, of the project in `tree`."""
    variables = {
        "SECRET_KEY": string.ascii_letters,
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        **os.environ,
        **more,
    }
    variables |= {"DJANGO_SETTINGS_MODULE": "workshop.lab.settings", "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}
    # Of METRICS=1, whose own would be left in memory.
    variables["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(dir=folder)
    for command in ("migrate", "collectstatic --noinput"):
        words = [sys.executable, "manage.py", *command.split(), "--verbosity", "0"]
        subprocess.run(words, cwd=tree, env=variables, check=True)
    counts = []
    for mode in ("wsgi", "asgi"):
        words = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={folder}/%p", sys.executable]
        done = subprocess.run(
            [*words, __file__, mode, *(path for each, path in rows if each == mode)],
            cwd=tree, env=variables | {"SERVER_MODE": mode}, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        files = [Path(folder, pid).read_text() for pid in done.stdout.split()]
        totals = [int(re.search(r"^(?:totals|summary): (\d+)", text, re.M)[1]) for text in files]
        counts += [(many - few) / (MANY - FEW) for few, many in zip(totals[::2], totals[1::2], strict=True)]
    return counts


# --- Under Valgrind: a process for each figure, whose number is written ---


def serve(mode: str, *paths: str) -> None:
    # Of the folder that is measured, and not of this file's.
    sys.path[0] = os.getcwd()
    from django.conf import settings
    from django.db import connections

    if kept := os.environ.get("MIDDLEWARE_KEPT"):
        settings.MIDDLEWARE = settings.MIDDLEWARE[: int(kept)]
    if settings.METRICS:
        # As gunicorn.conf.py does, before the middleware is made.
        import_module("kit.figures")
    application = import_module("workshop.lab.asgi" if mode == "asgi" else "wisheasy.wsgi").application
    session = signed_in_before_wishes()
    connections.close_all()
    ask = {"wsgi": ask_wsgi, "asgi": ask_asgi}[mode]
    for path in paths:
        for count in (FEW, MANY):
            pid = os.fork()
            if pid == 0:
                answered = False
                try:
                    statuses = ask(application, path, session if path == BOARD else "", count)
                    answered = statuses == {200} or print(*statuses, file=sys.stderr)
                except Exception:
                    traceback.print_exc()
                os._exit(not answered)
            if os.waitpid(pid, 0)[1]:
                sys.exit(f"{mode} did not answer {path}.")
            print(pid)


def signed_in_before_wishes() -> str:
    """The cookie of a member before a board with a page of wishes."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    from apps.wishes.models import Wish

    user, _created = get_user_model().objects.get_or_create(username="mina")
    if not Wish.objects.exists():
        Wish.objects.bulk_create(Wish(owner=user, text=f"Wish {number}") for number in range(20))
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def ask_wsgi(application, path, cookie, count) -> set:
    from django.test import RequestFactory

    statuses = set()
    made = RequestFactory(headers={"host": "localhost", "cookie": cookie}).get(path).environ
    for _each in range(count):
        response = application({**made, "wsgi.input": BytesIO()}, lambda status, *_: statuses.add(int(status[:3])))
        b"".join(response)
        response.close()
    return statuses


def ask_asgi(application, path, cookie, count) -> set:
    from django.test import AsyncRequestFactory

    from kit.serving import asgi, handler

    # Under Valgrind every request takes that long, and would begin to listen for the client's going away.
    handler.LISTEN_AFTER = 3600
    statuses = set()
    headers = [(b"host", b"localhost"), (b"cookie", cookie.encode())]
    made = {**AsyncRequestFactory().get(path).scope, "headers": headers}

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        statuses.add(message.get("status", 200))

    async def ask():
        served = asgi.start(application)
        for _each in range(count):
            await served({**made, "state": {}}, receive, send)

    asyncio.run(ask())
    return statuses


if __name__ == "__main__":
    serve(*sys.argv[1:]) if sys.argv[1:] else main()
