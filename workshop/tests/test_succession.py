"""A worker that has served enough requests is replaced, while others ask for pages and a request is still under way."""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from workshop.tests.servers import EMBEDDED_MODES, ROOT, serve

SLOW, LONGEST = 3, 2
each_mode = pytest.mark.parametrize("mode", EMBEDDED_MODES)


def recycling(mode, folder, workers=1, after=10, hook=""):
    """`hook`, of Gunicorn's configuration, is called as `post_worker_init` for all workers but the first."""
    configuration = folder / "recycling.conf.py"
    configuration.write_text(
        f"from runpy import run_path\nimport time\nglobals().update(run_path({str(ROOT / 'gunicorn.conf.py')!r}))\n"
        f"def post_worker_init(worker):\n    if worker.age > 1:\n        {hook or 'pass'}\n"
    )
    arguments = f"--config {configuration} --workers {workers} --max-requests {after} --max-requests-jitter 0"
    return serve(mode, folder, GUNICORN_CMD_ARGS=arguments, DJANGO_SETTINGS_MODULE="workshop.probe.settings")


def workers(server):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(server.pid)], capture_output=True, text=True, check=False)
    return {int(pid) for pid in found.stdout.split()}


def until(server, condition, meanwhile=lambda: time.sleep(0.1)):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, server.last_lines()
        meanwhile()


def slowest_page_until(server, condition):
    """The seconds that the slowest page took, of one after the other, each by a connection of its own."""
    took = []

    def ask():
        begin = time.monotonic()
        assert httpx.get(f"{server.url}/healthz/live", timeout=60).status_code == 200
        took.append(time.monotonic() - begin)

    until(server, condition, ask)
    return max(took)


@pytest.mark.parametrize(("mode", "count"), [("wsgi", 1), ("asgi", 1), ("asgi", 2)], ids=["wsgi", "asgi", "asgi-two"])
def test_nobody_waits_while_workers_are_replaced(mode, count, tmp_path):
    with recycling(mode, tmp_path, count) as server, ThreadPoolExecutor() as pool:
        until(server, lambda: len(workers(server)) == count)
        first = workers(server)
        slow = [pool.submit(httpx.get, f"{server.url}/probe/slow?seconds={SLOW}", timeout=60) for _ in range(count)]
        assert slowest_page_until(server, lambda: not first & workers(server)) < LONGEST
        assert [each.result().text for each in slow] == ["done"] * count
        until(server, lambda: len(workers(server)) == count)
        log = server.log.read_text()
    assert "Traceback" not in log


@each_mode
def test_no_request_on_a_kept_connection_is_lost(mode, tmp_path):
    with recycling(mode, tmp_path, after=100) as server, ThreadPoolExecutor() as pool:
        seen = set()

        def ask():
            with httpx.Client(timeout=60) as client:
                while len(seen) < 8:
                    client.get(f"{server.url}/healthz/live").raise_for_status()

        asking = [pool.submit(ask) for _ in range(4)]
        until(server, lambda: len(seen) >= 8, lambda: seen.update(workers(server)))
        for each in asking:
            each.result()


@each_mode
def test_a_worker_whose_successor_cannot_start_serves_on(mode, tmp_path):
    with recycling(mode, tmp_path, hook='raise RuntimeError("the third party is away")') as server:
        first = workers(server)
        sentence = "This worker can't start. Its predecessor keeps serving until another one can."
        assert slowest_page_until(server, lambda: sentence in server.log.read_text()) < LONGEST
        # The one that failed is gone, and another one has failed.
        until(server, lambda: server.log.read_text().count(sentence) > 1)
        assert first < workers(server)
        assert httpx.get(f"{server.url}/healthz/live").status_code == 200


@each_mode
def test_a_worker_that_is_killed_before_its_successor_serves_leaves_none_too_many(mode, tmp_path):
    with recycling(mode, tmp_path, hook="time.sleep(2)") as server:
        (first,) = workers(server)
        slowest_page_until(server, lambda: len(workers(server)) == 2)
        os.kill(first, signal.SIGKILL)
        until(server, lambda: first not in workers(server))
        assert httpx.get(f"{server.url}/healthz/live", timeout=10).status_code == 200
        assert len(workers(server)) == 1


def test_a_reload_of_gunicorn_while_a_worker_is_replaced_leaves_none_too_many(tmp_path):
    with recycling("asgi", tmp_path, hook="time.sleep(1)") as server:
        (first,) = workers(server)
        slowest_page_until(server, lambda: len(workers(server)) == 2)
        os.kill(server.pid, signal.SIGHUP)
        until(server, lambda: first not in workers(server) and len(workers(server)) == 1)
        assert len(workers(server)) == 1
        assert httpx.get(f"{server.url}/healthz/live", timeout=10).status_code == 200
