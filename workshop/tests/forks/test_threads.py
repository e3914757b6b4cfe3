"""Threads of the project's own: which of them does a worker have, and what is said of the others?"""

import threading
from types import ModuleType

import httpx
import pytest

from kit.serving import forks
from workshop.tests.servers import serve

SERVERS = {
    "wsgi": ("wsgi", {}),
    "gthread": ("wsgi", {"STOCK_WSGI": "1"}),
    "sync": ("wsgi", {"WEB_THREADS": "1"}),
    "asgi": ("asgi", {}),
    "stock": ("asgi", {"STOCK_ASGI": "1"}),
    "dev": ("wsgi", {"DEBUG": "1"}),
    "dev-asgi": ("asgi", {"DEBUG": "1"}),
}
WARNING = "was started before the workers are forked"


@pytest.fixture(scope="module", params=SERVERS)
def forked(request, tmp_path_factory):
    mode, variables = SERVERS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    with serve(mode, folder, DJANGO_SETTINGS_MODULE="workshop.tests.forks.settings", **variables) as server:
        yield server


def test_a_worker_has_the_thread_that_its_signal_started_and_not_the_one_of_before(forked):
    answer = httpx.get(f"{forked.url}/threads").json()
    assert answer["threads"].count(f"of {answer['pid']}") == 1
    assert "too early" not in answer["threads"]


def test_a_thread_of_before_is_named_once_with_what_to_do_and_none_of_the_stack(forked):
    lines = [line for line in forked.log.read_text().splitlines() if WARNING in line]
    assert len(lines) == 1
    assert "'too early' (workshop.tests.forks.apps)" in lines[0]
    assert "docs/extend.md" in lines[0]


def test_a_receiver_that_fails_is_in_the_log_and_the_worker_serves(forked):
    assert "the port is taken" in forked.log.read_text()
    assert httpx.get(f"{forked.url}/").status_code == 200


class Own(threading.Thread):
    def run(self):
        over.wait()


over = threading.Event()


def of_package(name):
    module = ModuleType(name)
    exec("def run(over):\n    over.wait()", vars(module))
    return threading.Thread(target=module.run, args=[over], name=name)


@pytest.mark.parametrize(
    ("thread", "module"),
    [
        (lambda: threading.Thread(target=over.wait), "threading"),
        (lambda: threading.Timer(60, over.wait), "threading"),
        (Own, __name__),
        (lambda: of_package("apps.shop"), "apps.shop"),
        (lambda: of_package("sentry_sdk.worker"), None),
        (lambda: of_package("psycopg_pool.pool"), None),
    ],
    ids=["bound", "timer", "class", "function", "sentry", "pool"],
)
def test_a_thread_is_named_with_the_module_of_what_it_runs(thread, module):
    over.clear()
    before = forks.threads_lost()
    thread = thread()
    thread.start()
    try:
        lost = [each for each in forks.threads_lost() if each not in before]
        assert lost == ([f"{thread.name!r} ({module})"] if module else [])
    finally:
        over.set()
        if isinstance(thread, threading.Timer):
            thread.cancel()
        thread.join(timeout=10)
