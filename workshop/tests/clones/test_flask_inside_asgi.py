"""docs/recipes/another-framework.md, its WSGI application, done as it says, and served in both ways."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from asgiref.wsgi import WsgiToAsgi
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from kit.serving.threads import Threads
from workshop.tests.servers import EMBEDDED_MODES, serve

from . import page

# Views of the test's own, as somebody adds them to the page's.
MORE = """

import logging
import threading
import time

from flask import Response, request


@reports.get("/slow")
def slow():
    time.sleep(0.3)
    return str(threading.get_ident())


@reports.post("/size")
def size():
    logging.getLogger("reports").info("A body came.")
    return str(len(request.get_data()))


@reports.get("/pieces")
def pieces():
    def make():
        for number in range(3):
            yield f"{number} "
            time.sleep(0.2)

    return Response(make())


@reports.get("/broken")
def broken():
    raise RuntimeError("this is broken")
"""


@pytest.fixture(scope="module")
def project(clone, packages):
    page.follow("another-framework", clone, "A WSGI application (Flask)", packages=packages)
    with (clone / "wisheasy/reports.py").open("a") as module:
        module.write(MORE)
    return clone


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def server(request, project, packages, folder):
    fresh = not (folder / "db.sqlite3").exists()
    with serve(request.param, folder, project, prepare=fresh, PYTHONPATH=str(packages)) as server:
        yield server


def at_once(count, ask):
    """The answers, and the seconds until all had come."""
    begin = time.monotonic()
    with ThreadPoolExecutor(count) as visitors:
        answers = list(visitors.map(ask, range(count)))
    return answers, time.monotonic() - begin


def test_it_answers_beside_django(server):
    answer = httpx.get(f"{server.url}/reports/")
    assert answer.json() == {"address": f"{server.url}/reports/"}
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert httpx.get(f"{server.url}/reports/nothing").status_code == 404
    assert httpx.get(f"{server.url}/reportsnot").headers["Permissions-Policy"]
    assert httpx.get(f"{server.url}/accounts/login/").status_code == 200


def test_another_host_is_refused(server):
    assert httpx.get(f"{server.url}/reports/", headers={"Host": "evil.example"}).status_code == 400


def test_a_body_arrives_whole_and_one_over_the_limit_is_refused(server):
    assert httpx.post(f"{server.url}/reports/size", content=b"x" * 900_000).text == "900000"
    assert httpx.post(f"{server.url}/reports/size", content=b"x" * 1_100_000).status_code == 413


def test_an_answer_leaves_as_it_is_made(server):
    with httpx.stream("GET", f"{server.url}/reports/pieces") as answer:
        arrived = [time.monotonic() for _ in answer.iter_bytes()]
    # In one piece it would be none; a busy client sees the first ones late.
    assert arrived[-1] - arrived[0] > 0.1


def test_others_are_answered_while_it_is_busy(server):
    # One client: to make eight takes a time of its own.
    with server.client() as client, ThreadPoolExecutor(1) as elsewhere:
        busy = elsewhere.submit(at_once, 8, lambda _: client.get("/reports/slow").text)
        time.sleep(0.1)
        begin = time.monotonic()
        assert httpx.get(f"{server.url}/accounts/login/", timeout=30).status_code == 200
        waited = time.monotonic() - begin
        threads, took = busy.result()
    # Two rounds on four threads. Under WSGI Django's requests queue for the same ones, in asgi they have others.
    assert len(set(threads)) <= 4
    assert 0.55 < took < 2.4
    assert waited < (took if server.mode == "asgi" else took + 0.5)


def test_an_answer_and_its_lines_have_one_id(server):
    answer = httpx.post(f"{server.url}/reports/size", content=b"x")
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    assert [line["id"] for line in lines if line["message"] == "A body came."][-1] == answer.headers["X-Request-ID"]


def test_an_exception_is_a_line_with_its_id(server):
    answer = httpx.get(f"{server.url}/reports/broken")
    assert answer.status_code == 500
    time.sleep(0.1)
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    broken = [line for line in lines if "this is broken" in line.get("exception", "")]
    assert [line["id"] for line in broken] == [answer.headers["X-Request-ID"]]


@pytest.mark.modes("asgi")
def test_a_websocket_below_it_is_refused(server):
    with pytest.raises(InvalidStatus) as refused, connect(f"{server.url.replace('http', 'ws')}/reports/"):
        pass
    assert refused.value.response.status_code == 404


# --- The trap ---


def slow(environ, start_response):
    time.sleep(0.05)
    start_response("200 OK", [])
    return [b""]


async def ten_requests(application):
    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        pass

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "http_version": "1.1"}
    begin = time.monotonic()
    await asyncio.gather(*(application(scope, receive, send) for _ in range(10)))
    return time.monotonic() - begin


async def test_without_threads_of_its_own_one_request_waits_for_the_other():
    assert await ten_requests(WsgiToAsgi(slow)) > 0.5
    assert await ten_requests(Threads(10).around(WsgiToAsgi(slow))) < 0.4


async def test_asgiref_does_not_close_what_an_application_returns():
    closed = []

    class Answer(list):
        def close(self):
            closed.append(self)

    await ten_requests(WsgiToAsgi(lambda environ, start_response: (start_response("200 OK", []), Answer([b""]))[1]))
    # When this fails, the page has a line too many.
    assert closed == []


async def test_the_number_of_threads_bounds_its_requests():
    assert await ten_requests(Threads(5).around(WsgiToAsgi(slow))) > 0.1
