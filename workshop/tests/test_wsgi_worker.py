"""The worker for WSGI: it answers as Gunicorn's own, byte for byte, and no slow client holds one of its threads."""

import os
import random
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from kit.serving.wsgi_worker import COMPUTES, PATIENCE, Worker
from workshop.tests.servers import serve
from workshop.tests.test_limits import REQUESTS
from workshop.tests.test_succession import until, workers

THREADS = 4
NAMES = (
    "X-A", "x-a", "X_A", "Cookie", "Content-Length", "content-length", "Content-Type", "Transfer-Encoding", "Expect",
    "Host", "Connection", "Upgrade", "Script-Name", "SCRIPT_NAME", "X-Forwarded-For", "TE", "", "X A", "é",
)  # fmt: skip
VALUES = (
    "a", "", " a ", "\ta\t", "5", "+5", "-5", "5, 5", "05", "²", "chunked", "CHUNKED", "identity", "gzip, chunked",
    "close", "Close", "keep-alive", "100-continue", "é", "a\x01b", "a\x7fb", "a\rb", "a\nb", "x" * 9000, "websocket",
)  # fmt: skip
METHODS = ("GET", "GET", "POST", "POST", "HEAD", "PUT", "OPTIONS", "get", "CONNECT", "TRACE", "G#T")
PATHS = (
    "/healthz/live",
    "/healthz/live?a=%41",
    "/healthz/%6Cive#a",
    "//x",
    "*",
    "http://h/x?y",
    "/é",
    "/a b",
    "",
    "a:80",
)
VERSIONS = (*["HTTP/1.1"] * 8, "HTTP/1.0", "HTTP/1.2", "http/1.1", "")


def drawn(chance):
    body, fields = chance.choice(
        [("", []), ("hello", ["Content-Length: 5"]), ("5\r\nhello\r\n0\r\n\r\n", ["Transfer-Encoding: chunked"])]
    )
    fields = ["Host: localhost", *fields]
    fields += [f"{chance.choice(NAMES)}: {chance.choice(VALUES)}" for _ in range(chance.randrange(3))]
    chance.shuffle(fields)
    first = f"{chance.choice(METHODS)} {chance.choice(PATHS)} {chance.choice(VERSIONS)}"
    return "\r\n".join([first, *fields, "", body]).encode("latin-1")


def answers(port, pieces):
    """All that comes until the server closes, but for what differs from one request to the next."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        received = b""
        try:
            for piece in pieces:
                client.sendall(piece)
                time.sleep(0.02)
            client.shutdown(socket.SHUT_WR)
            while data := client.recv(65536):
                received += data
        except ConnectionError:
            received += b"(reset)"
    received = re.sub(rb"(?im)^(date|x-request-id|content-security-policy|set-cookie): [^\r]*", rb"\1", received)
    return re.sub(rb'(nonce|value)="[^"]*"', rb"\1", received)


@pytest.fixture(scope="module")
def ports(tmp_path_factory):
    """Those of the two: this project's and Gunicorn's own."""
    ours, stock = (tmp_path_factory.mktemp(name) for name in ("ours", "stock"))
    settings = {"DJANGO_SETTINGS_MODULE": "workshop.probe.settings"}
    with serve("wsgi", ours, **settings) as first, serve("wsgi", stock, STOCK_WSGI="1", **settings) as second:
        yield [int(server.url.rsplit(":", 1)[1]) for server in (first, second)]


@pytest.mark.parametrize("request_line", REQUESTS)
def test_an_odd_request_gets_the_same_answer(ports, request_line):
    data, _ = REQUESTS[request_line]
    ours, stock = (answers(port, [data]) for port in ports)
    assert ours == stock


@pytest.mark.parametrize("seed", range(60))
def test_random_requests_get_the_same_answers(ports, seed):
    chance = random.Random(seed)
    data = b"".join(drawn(chance) for _ in range(chance.choice([1, 1, 2, 3])))
    cut = chance.randrange(len(data))
    pieces = chance.choice([[data], [data[:cut], data[cut:]], [data[: cut + 1]]])
    ours, stock = (answers(port, pieces) for port in ports)
    assert ours == stock, pieces


def test_clients_that_begin_and_do_not_go_on_hold_no_thread(ports):
    half = [socket.create_connection(("127.0.0.1", ports[0])) for _ in range(2 * THREADS)]
    for client in half:
        client.sendall(b"GET /healthz/live HTTP/1.1\r\nHost: local")
    assert httpx.get(f"http://127.0.0.1:{ports[0]}/healthz/live", timeout=5).status_code == 200
    for client in half:
        client.sendall(b"host\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        client.close()


def test_a_view_that_waits_holds_up_nobody_while_a_thread_is_free(tmp_path):
    variables = {"DJANGO_SETTINGS_MODULE": "workshop.probe.settings", "WEB_CONCURRENCY": "1"}
    with serve("wsgi", tmp_path, **variables) as server, ThreadPoolExecutor() as pool:
        slow = [pool.submit(httpx.get, f"{server.url}/probe/slow?seconds=4", timeout=60) for _ in range(THREADS - 1)]
        time.sleep(0.5)
        for _ in range(5):
            assert httpx.get(f"{server.url}/healthz/live", timeout=5).status_code == 200
        assert not any(each.done() for each in slow)
        assert [each.result().text for each in slow] == ["done"] * len(slow)


@pytest.mark.skipif(not hasattr(os, "timerfd_create"), reason="the worker needs a timer of Linux")
@pytest.mark.parametrize(("computes", "least"), [(0.4, PATIENCE), (0.6, COMPUTES)])
def test_a_thread_keeps_the_lead_for_longer_while_it_computes(computes, least):
    worker = object.__new__(Worker)
    worker.turn, worker.leader, worker.since = threading.Lock(), 1, time.monotonic()
    worker.timer = os.timerfd_create(time.CLOCK_MONOTONIC)
    looks = []

    def leader_computed():
        looks.append(time.monotonic() - worker.since)
        return looks[-1] * computes

    worker.leader_computed, begun = leader_computed, worker.since
    os.timerfd_settime(worker.timer, initial=PATIENCE)
    worker.await_lead()
    os.close(worker.timer)
    assert worker.leader == threading.get_ident()
    assert time.monotonic() - begun >= least
    # Later is right as well, on a machine that is late with everything.
    assert len(looks) <= 1 or computes > 0.5


def opened(pid):
    folder = Path(f"/proc/{pid}/fd")
    return [os.readlink(path) for path in folder.iterdir()]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts the open files of a process")
def test_connections_that_are_kept_are_spread_over_the_workers(tmp_path):
    with serve("wsgi", tmp_path, WEB_CONCURRENCY="2") as server:
        until(server, lambda: all("anon_inode:[timerfd]" in opened(pid) for pid in workers(server)))
        before = {pid: len(opened(pid)) for pid in workers(server)}
        clients = [socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) for _ in range(40)]
        time.sleep(1)
        more = [len(opened(pid)) - count for pid, count in before.items()]
        for client in clients:
            client.close()
    assert min(more) > 0
    assert max(more) - min(more) <= 3 * THREADS
