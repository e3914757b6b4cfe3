"""Jobs in the containers of a slot: done, taken over, and left alone."""

import json
import time

import pytest
from websockets.sync.client import connect

from .conftest import eventually

# The worker is the same in all modes.
pytestmark = pytest.mark.modes("hybrid")


def shell(stack, code):
    command = ["python", "manage.py", "shell", "--verbosity", "0", "--command", code]
    return stack.compose("exec", "-T", f"web-{stack.slot()}", *command).stdout.strip()


def enqueue(stack, call):
    return shell(stack, f"from workshop.probe.tasks import note; print({call}.id)")


def state(stack, task):
    found = f"from django_ox.models import OxTask; t = OxTask.objects.get(pk='{task}'); print(t.status, t.attempts)"
    return shell(stack, found)


def workers(stack):
    """The service of each of their containers."""
    services = stack.compose("ps", "--format", "{{.Service}}").stdout.split()
    return [name for name in services if name.startswith("worker-")]


def test_a_job_reaches_open_pages_through_redis(stack):
    with connect(stack.socket_url(topic="notes")) as page:
        enqueue(stack, "note.enqueue('from a job')")
        end = time.monotonic() + 20
        message = ""
        while "from a job" not in message:
            message = page.recv(timeout=max(0.1, end - time.monotonic()))
    assert json.loads(message)["changes"]


def test_what_a_killed_worker_had_begun_is_done_by_the_one_that_docker_starts(stack):
    task = enqueue(stack, "note.enqueue('long', seconds=8)")
    eventually(lambda: state(stack, task) == "RUNNING 1")
    stack.compose("exec", "-T", f"worker-{stack.slot()}", "sh", "-c", "kill -9 -1", check=False)
    eventually(lambda: state(stack, task) == "SUCCESSFUL 2", within=90)


def test_there_are_as_many_workers_as_the_version_that_serves_was_released_with(stack):
    task = enqueue(stack, "note.enqueue('over', seconds=25)")
    eventually(lambda: state(stack, task) == "RUNNING 1")
    try:
        stack.run("docker/configure", "WORKER_PROCESSES=2")
        stack.run("make", "release")
        assert workers(stack) == [f"worker-{stack.slot()}"] * 2
        # The old one has ended what it had begun.
        assert state(stack, task) == "SUCCESSFUL 1"
        stack.run("docker/configure", "WORKER_PROCESSES=0")
        stack.run("make", "release")
        assert workers(stack) == []
        waiting = enqueue(stack, "note.enqueue('waits')")
    finally:
        stack.run("docker/configure", "WORKER_PROCESSES=1")
    stack.run("make", "rollback")
    assert workers(stack) == [f"worker-{stack.slot()}"] * 2
    eventually(lambda: state(stack, waiting) == "SUCCESSFUL 1")


def test_a_worker_takes_less_of_the_processors_than_what_serves_visitors(stack):
    # A release has seen to it. Other tests have recreated what it had started.
    containers = stack.compose("ps", "--quiet", f"worker-{stack.slot()}", f"web-{stack.slot()}").stdout.split()
    inspect = ["docker", "inspect", "--format", "{{.HostConfig.CpuShares}}"]
    assert set(stack.run(*inspect, *containers).stdout.split()) == {"1024", "512"}
