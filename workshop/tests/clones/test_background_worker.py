"""docs/recipes/background-worker.md, done as it says: requests enqueue, a worker does it, pages change."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import httpx
import pytest
from websockets.sync.client import connect

from workshop.tests.servers import serve

from . import page

# A task of the test's own, and less patience than the page has.
MORE = """

@task
def fail_twice(notes):
    with open(notes, "a+") as attempts:
        attempts.write("x")
        attempts.seek(0)
        if len(attempts.read()) < 3:
            raise RuntimeError("not yet")
"""
IMPORTS = """
from django.db import transaction
from django_ox.models import OxTask
from apps.errands.models import Errand
from apps.errands.tasks import count_letters, fail_twice
"""
PATIENCE = '"OPTIONS": {"LOCK_TIMEOUT": 30, "MAX_ATTEMPTS": 5},'
LESS = '"OPTIONS": {"LOCK_TIMEOUT": 2, "MAX_ATTEMPTS": 5, "BACKOFF_INITIAL": 0.2},'


@pytest.fixture(scope="module")
def project(clone, packages):
    page.add_app("errands", clone)
    page.follow("background-worker", clone, packages=packages)
    page.migrate("errands", clone, packages)
    settings = clone / "wisheasy/settings.py"
    settings.write_text(page.changed(settings.read_text(), f"-        {PATIENCE}\n+        {LESS}\n", "settings.py"))
    with (clone / "apps/errands/tasks.py").open("a") as tasks:
        tasks.write(MORE)
    return clone


@pytest.fixture(scope="module")
def server(project, packages, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    with serve("asgi", folder, project, PYTHONPATH=str(packages)) as server:
        server.folder = folder
        yield server


@pytest.fixture
def manage(server, project, packages):
    """Starts a management command beside the server, in the background."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(packages),
        "DATABASE_URL": f"sqlite:///{server.folder}/db.sqlite3",
        "PORT": server.url.rsplit(":", 1)[1],
    }
    started = []

    def start(*command, output=None):
        with (server.folder / "worker.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *command], cwd=project, env=environment, stdout=output or log, stderr=log
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def worker(manage):
    return lambda: manage("ox_worker", "--interval", "0.1")


@pytest.fixture
def python(server, project, manage):
    """Runs code in the project; what it prints."""

    def run(code):
        process = manage("shell", "--verbosity", "0", "--command", IMPORTS + code, output=subprocess.PIPE)
        return process.communicate(timeout=30)[0].decode()

    return run


@pytest.fixture
def send(server):
    """Sends the worker on an errand through the page; the answer of the request."""
    with server.client() as client:

        def send(text):
            form = client.get("/errands/").text
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)[1]
            return client.post("/errands/", data={"csrfmiddlewaretoken": token, "text": text})

        yield send


def task(server):
    """Status and attempts of the newest task."""
    with contextlib.closing(sqlite3.connect(server.folder / "db.sqlite3")) as database:
        return database.execute(
            "SELECT status, attempts FROM django_ox_oxtask ORDER BY enqueued_at DESC LIMIT 1"
        ).fetchone()


def lines(server):
    text = (server.folder / "worker.log").read_text()
    return [json.loads(line) for line in text.splitlines()]


def messages(websocket, until, seconds=30):
    """What comes in, until some of it has that text in it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(TimeoutError):
            message = websocket.recv(timeout=1)
            if until in message:
                return message
    raise AssertionError(f"{until!r} has not come.")


def open_page(server):
    return connect(server.socket_url(topic="errands"))


def test_a_page_changes_when_the_worker_is_done(server, worker, send):
    worker()
    with open_page(server) as websocket:
        assert send("abc").status_code == 302
        assert "abc: …" in messages(websocket, "abc")
        messages(websocket, "abc: 3 letters")
    assert "abc: 3 letters" in httpx.get(f"{server.url}/errands/").text


def test_the_lines_of_a_task_have_the_id_of_its_request(server, worker, send):
    worker()
    with open_page(server) as websocket:
        answer = send("wxyz")
        messages(websocket, "wxyz: 4 letters")
    for _ in range(50):
        said = [line["message"] for line in lines(server) if line["id"] == answer.headers["X-Request-ID"]]
        if "An errand is done." in said and any("succeeded" in each for each in said):
            break
        time.sleep(0.1)
    else:
        raise AssertionError(said)
    # What the worker says of itself is nobody's.
    assert {line["id"] for line in lines(server) if line["message"].startswith("Worker ")} == {""}


def test_a_task_of_a_worker_that_is_killed_is_done_by_another(server, worker, send):
    first = worker()
    with open_page(server) as websocket:
        text = "k" * 60
        send(text)
        messages(websocket, text)
        # It takes three seconds.
        wait_until(lambda: task(server) == ("RUNNING", 1))
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert task(server) == ("RUNNING", 1)
        worker()
        messages(websocket, f"{text}: 60 letters")
    wait_until(lambda: task(server) == ("SUCCESSFUL", 2))


def test_a_worker_that_is_told_to_stop_ends_what_it_has_begun(server, worker, send):
    first = worker()
    with open_page(server) as websocket:
        text = "s" * 40
        send(text)
        messages(websocket, text)
        wait_until(lambda: task(server) == ("RUNNING", 1))
        first.terminate()
        assert first.wait(timeout=20) == 0
        messages(websocket, f"{text}: 40 letters")


def test_a_task_that_fails_is_tried_again(server, worker, python, tmp_path):
    python(f"fail_twice.enqueue({str(tmp_path / 'notes')!r})")
    worker()
    wait_until(lambda: task(server) == ("SUCCESSFUL", 3))
    assert (tmp_path / "notes").read_text() == "xxx"


def test_a_task_that_this_version_does_not_know_waits_for_the_next(server, worker, python):
    python("""
count_letters.enqueue(Errand.objects.create(text="new").pk)
OxTask.objects.filter(status="READY").update(task_path="apps.errands.tasks.of_tomorrow")
""")
    worker()
    wait_until(lambda: task(server) == ("READY", 1))
    python('OxTask.objects.filter(status="READY").update(task_path="apps.errands.tasks.count_letters")')
    wait_until(lambda: task(server)[0] == "SUCCESSFUL")


def test_what_is_rolled_back_leaves_no_task(python):
    assert python("""
before = OxTask.objects.count()
try:
    with transaction.atomic():
        count_letters.enqueue(Errand.objects.create(text="never").pk)
        raise RuntimeError
except RuntimeError:
    print(OxTask.objects.count() - before, Errand.objects.filter(text="never").count())
""").split() == ["0", "0"]


def test_the_commands_of_the_page_look_after_the_table(manage):
    # Nothing waits: what the tests before have enqueued is done.
    commands = re.findall(r'make manage CMD="(ox_[^"]+)"', page.text("background-worker"))
    assert [manage(*command.split()).wait(30) for command in commands] == [0, 0]


def wait_until(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("It has not come true.")
