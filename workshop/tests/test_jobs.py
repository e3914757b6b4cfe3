"""Jobs where no container does them: in the process that serves, and beside it by `make worker`."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from websockets.sync.client import connect

from workshop.tests.servers import EMBEDDED_MODES, ROOT, serve

CODE = """
from django.db import transaction
from django_ox.models import OxTask
from workshop.probe.tasks import fail, note
"""


class Jobs:
    def __init__(self, mode, folder, **variables):
        self.mode, self.folder = mode, folder
        self.variables = {"DJANGO_SETTINGS_MODULE": "workshop.tests.impatient", **variables}
        database = f"sqlite:///{folder}/db.sqlite3"
        self.environment = {**os.environ, **self.variables, "SERVER_MODE": mode, "DATABASE_URL": database}
        self.started = []

    def serve(self, **variables):
        return serve(self.mode, self.folder, **self.variables, **variables)

    def manage(self, *command, **options):
        process = subprocess.Popen(
            [sys.executable, "manage.py", *command], cwd=ROOT, env=self.environment, text=True, **options
        )
        self.started.append(process)
        return process

    def worker(self):
        with (self.folder / "worker.log").open("a") as log:
            return self.manage("ox_worker", "--interval", "0.1", stdout=log, stderr=log)

    def run(self, code):
        process = self.manage("shell", "--verbosity", "0", "--command", CODE + code, stdout=subprocess.PIPE)
        return process.communicate(timeout=30)[0].strip()

    def state(self, task):
        with contextlib.closing(sqlite3.connect(self.folder / "db.sqlite3")) as database:
            query = "SELECT status || ' ' || attempts FROM django_ox_oxtask WHERE id = ?"
            return database.execute(query, [task.replace("-", "")]).fetchone()[0]

    def comes_to(self, task, *wanted):
        for _ in range(150):
            state = self.state(task)
            if state in wanted:
                return
            time.sleep(0.1)
        raise AssertionError(f"{state}, and not {wanted}")

    def lines(self):
        logs = [self.folder / name for name in ("server.log", "worker.log")]
        texts = [log.read_text() for log in logs if log.exists()]
        return [json.loads(line) for text in texts for line in text.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def embedded(request, tmp_path_factory):
    jobs = Jobs(request.param, tmp_path_factory.mktemp(request.param))
    with jobs.serve() as jobs.server:
        yield jobs


@pytest.fixture
def jobs(tmp_path):
    """A server that does none, for tests that start workers of their own."""
    jobs = Jobs("wsgi", tmp_path, WORKER_PROCESSES="0")
    try:
        with jobs.serve() as jobs.server:
            yield jobs
    finally:
        for process in jobs.started:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


def enqueue(jobs, call):
    return jobs.run(f"print({call}.id)")


def test_a_server_does_jobs_without_another_command(embedded):
    if not embedded.server.pushes:
        embedded.comes_to(enqueue(embedded, "note.enqueue('hello')"), "SUCCESSFUL 1")
        return
    with connect(embedded.server.socket_url()) as page:
        enqueue(embedded, "note.enqueue('hello')")
        end = time.monotonic() + 15
        while "hello" not in page.recv(timeout=max(0.1, end - time.monotonic())):
            pass


def test_the_lines_of_a_job_have_its_id(embedded):
    task = enqueue(embedded, "note.enqueue('named')")
    embedded.comes_to(task, "SUCCESSFUL 1")
    assert "Writing named." in [line["message"] for line in embedded.lines() if line["id"] == task]


def test_a_job_that_always_fails_ends_as_failed_with_each_traceback(embedded):
    task = enqueue(embedded, "fail.enqueue()")
    embedded.comes_to(task, "FAILED 3")
    assert embedded.run(f"print(len(OxTask.objects.get(pk='{task}').errors))") == "3"


def test_what_is_rolled_back_leaves_no_job(embedded):
    code = """
try:
    with transaction.atomic():
        task = note.enqueue("never")
        raise RuntimeError
except RuntimeError:
    print(OxTask.objects.filter(pk=task.id).exists())
"""
    assert embedded.run(code) == "False"


@pytest.mark.parametrize("app", ["django_ox", "kit.mail"])
def test_a_clone_from_before_an_app_is_told_what_to_add(tmp_path, app):
    (tmp_path / "before.py").write_text(
        f"from wisheasy.settings import *\nINSTALLED_APPS = [app for app in INSTALLED_APPS if app != {app!r}]\n"
    )
    variables = {"DJANGO_SETTINGS_MODULE": "before", "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "manage.py", "check"]
    result = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f'INSTALLED_APPS has no "{app}"')
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(("processes", "slot", "more"), [(0, "blue", 0), (1, "blue", 12), (3, "green", 36), (1, "", 6)])
def test_the_connections_of_jobs_are_counted(processes, slot, more):
    code = "from django.conf import settings; print(settings.DATABASE_CONNECTIONS)"
    opened = [
        int(subprocess.check_output(
            [sys.executable, "-c", code], cwd=ROOT,
            env={**os.environ, "SERVER_MODE": "wsgi", "SLOT": slot, "WEB_CONCURRENCY": "1", "WORKER_PROCESSES": number},
        ))
        for number in ("0", str(processes))
    ]  # fmt: skip
    assert opened[1] - opened[0] == more


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_a_server_that_stops_ends_the_jobs_that_it_has_begun(mode, tmp_path):
    jobs = Jobs(mode, tmp_path)
    with jobs.serve():
        task = enqueue(jobs, "note.enqueue('long', seconds=4)")
        jobs.comes_to(task, "RUNNING 1")
    assert jobs.state(task) == "SUCCESSFUL 1"


def test_a_server_without_jobs_leaves_them_waiting(jobs):
    task = enqueue(jobs, "note.enqueue('waits')")
    assert jobs.state(task) == "READY 0"
    assert [line for line in jobs.lines() if line["logger"] in ("kit.jobs", "django_ox")] == []


def test_a_job_of_a_worker_that_is_killed_is_done_by_another(jobs):
    first = jobs.worker()
    task = enqueue(jobs, "note.enqueue('long', seconds=4)")
    jobs.comes_to(task, "RUNNING 1")
    first.send_signal(signal.SIGKILL)
    first.wait()
    jobs.worker()
    jobs.comes_to(task, "SUCCESSFUL 2")


def test_a_worker_that_is_told_to_stop_ends_what_it_has_begun(jobs):
    first = jobs.worker()
    task = enqueue(jobs, "note.enqueue('long', seconds=3)")
    jobs.comes_to(task, "RUNNING 1")
    first.terminate()
    assert first.wait(timeout=20) == 0
    assert jobs.state(task) == "SUCCESSFUL 1"


def test_a_job_that_this_version_does_not_know_waits_for_the_next(jobs):
    task = enqueue(jobs, "note.enqueue('new')")
    path = "OxTask.objects.filter(pk='{}').update(task_path='workshop.probe.tasks.{}', max_attempts=50)"
    jobs.run(path.format(task, "of_tomorrow"))
    jobs.worker()
    time.sleep(2)
    jobs.comes_to(task, *(f"READY {attempt}" for attempt in range(1, 50)))
    jobs.run(path.format(task, "note"))
    jobs.comes_to(task, *(f"SUCCESSFUL {attempt}" for attempt in range(2, 50)))


def test_two_workers_run_a_schedule_once_each_time(jobs):
    jobs.worker()
    jobs.worker()
    time.sleep(8)
    ticks, tasks = jobs.run(
        "from django_ox.models import OxScheduleTick as T\n"
        "ticks = T.objects.filter(schedule_name='note', task__isnull=False)\n"
        "print(ticks.count(), OxTask.objects.count())"
    ).split()
    assert ticks == tasks
    assert int(ticks) >= 2
