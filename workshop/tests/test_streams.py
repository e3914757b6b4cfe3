"""What streams, through real servers: HEAD is answered with headers alone and at once, and nobody holds a large file in
memory or a stream without a client."""

import asyncio
import http.client
import os
import subprocess
import time
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from kit.serving import static
from workshop.tests.servers import ROOT, serve

SAME = {"content-type", "content-length", "content-disposition", "cache-control", "vary", "etag", "last-modified"}

VIEWS = """
import asyncio
import os
import time
from pathlib import Path

from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.urls import path

from workshop.probe.urls import handler400, handler404, urlpatterns, websocket_urlpatterns

HERE = Path(__file__).parent


def mark(name):
    (HERE / name).touch()


def closing(request, response):
    response._resource_closers.append(lambda: mark(f"closed-{request.GET['name']}"))
    return response


def endless(name, seconds):
    mark(f"begun-{name}")
    try:
        while True:
            time.sleep(seconds)
            yield b"x"
    finally:
        mark(f"ended-{name}")


async def endless_async(name, seconds):
    mark(f"begun-{name}")
    try:
        while True:
            if seconds is not None:
                await asyncio.sleep(seconds)
            yield b"x"
    finally:
        mark(f"ended-{name}")


def sync(request):
    return closing(request, StreamingHttpResponse(endless(request.GET["name"], 0.1)))


def tight(request):
    return closing(request, StreamingHttpResponse(endless(request.GET["name"], 0)))


async def coroutine(request):
    return closing(request, StreamingHttpResponse(endless_async(request.GET["name"], 0.1)))


async def tight_coroutine(request):
    return closing(request, StreamingHttpResponse(endless_async(request.GET["name"], None)))


def file(request):
    return closing(request, FileResponse(open(HERE / "large", "rb")))


urlpatterns = [
    *(path(f"stream/{view.__name__}", view) for view in (sync, tight, coroutine, tight_coroutine, file)),
    *urlpatterns,
]
"""
# Applications beside Django.
BESIDE = {
    "wsgi": """
from kit.serving.wsgi import behind_proxies
from wisheasy.wsgi import application as django
from stream_views import endless, mark


@behind_proxies
def lazy(environ, start_response):
    # What a generator does before its first part is done when that is asked for.
    start_response("200 OK", [])
    name = environ["QUERY_STRING"].removeprefix("name=")
    try:
        yield from endless(name, 0.1)
    finally:
        mark(f"closed-{name}")


def application(environ, start_response):
    return (lazy if environ["PATH_INFO"] == "/stream/beside" else django)(environ, start_response)
""",
    "asgi": """
import asyncio
from workshop.lab.asgi import application as django
from stream_views import mark


async def application(scope, receive, send):
    if scope.get("path") != "/stream/beside":
        return await django(scope, receive, send)
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    gone = asyncio.create_task(receive())
    while not gone.done():
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await asyncio.sleep(0.01)
    mark(f"closed-{scope['query_string'].decode().removeprefix('name=')}")
""",
}
SETTINGS = """
from workshop.probe.settings import *

ROOT_URLCONF = "stream_views"
WSGI_APPLICATION = ASGI_APPLICATION = "stream_application.application"
"""
SERVERS = {
    "wsgi": ("wsgi", {}),
    "wsgi-one-thread": ("wsgi", {"WEB_THREADS": "1"}),
    "asgi": ("asgi", {}),
    "stock": ("asgi", {"STOCK_ASGI": "1"}),
}
LARGE = 100_000_000


@contextmanager
def server_of(kind, folder, database):
    mode, variables = SERVERS[kind]
    (folder / "stream_views.py").write_text(VIEWS)
    (folder / "stream_application.py").write_text(BESIDE[mode])
    (folder / "stream_settings.py").write_text(SETTINGS)
    with (folder / "large").open("wb") as large:
        large.truncate(LARGE)
    variables |= {"DJANGO_SETTINGS_MODULE": "stream_settings", "PYTHONPATH": f"{folder}:{ROOT}", "WEB_CONCURRENCY": "1"}
    variables["DATABASE_URL"] = f"sqlite:///{database}"
    with serve(mode, folder, prepare=not database.exists(), **variables) as server:
        server.folder = folder
        yield server


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Each server, from the first test that asks for it."""
    database = tmp_path_factory.mktemp("database") / "db.sqlite3"
    with ExitStack() as servers:
        yield cache(lambda kind: servers.enter_context(server_of(kind, tmp_path_factory.mktemp(kind), database)))


@pytest.fixture(params=SERVERS)
def streams(request, running):
    return running(request.param)


def is_over(server, name):
    """Is the answer closed, and the generator ended that made it, if it had begun?"""
    for _ in range(100):
        closed, begun, ended = ((server.folder / f"{mark}-{name}").exists() for mark in ("closed", "begun", "ended"))
        if closed and begun == ended:
            return True
        time.sleep(0.05)
    return False


def connect(server):
    return closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5))


def each(*names, but=()):
    """For a test of these streams in each server that can end them: Django's own handler makes a list of a sync one
    first, and does not close an async one that waits for nothing; under WSGI there is a list of each async one."""
    without_end = {"stock": {"sync", "tight", "tight_coroutine"}, "wsgi": {"coroutine", "tight_coroutine"}}
    return pytest.mark.parametrize(
        ("streams", "name"),
        [
            pytest.param(server, name, id=f"{server}-{name}")
            for server in SERVERS
            if server not in but
            for name in names
            if name not in without_end.get(server.split("-")[0], ())
        ],
        indirect=["streams"],
    )


@each("sync", "tight", "coroutine", "tight_coroutine", "file", "beside")
def test_head_ends_at_once_with_the_stream_and_its_connection_serves_the_next(streams, name):
    begin = time.monotonic()
    with connect(streams) as connection:
        connection.request("HEAD", f"/stream/{name}?name=head-{name}")
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
        for _ in range(3):
            connection.request("GET", "/healthz/live")
            assert connection.getresponse().read() == b"alive\n"
    assert time.monotonic() - begin < 3
    assert is_over(streams, f"head-{name}")


@pytest.mark.parametrize("streams", ["asgi", "stock"], indirect=True)
def test_head_of_a_live_page_leaves_no_reader(streams):
    with connect(streams) as connection:
        for _ in range(3):
            connection.request("HEAD", "/live/notes/events")
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("content-type")) == (200, "text/event-stream")
            answer.read()
            connection.request("GET", "/healthz/live")
            assert connection.getresponse().read() == b"alive\n"


@pytest.mark.parametrize(
    "path", ["/", "/stream/file?name=said", "/static/wisheasy/style.css", "/nowhere", "/accounts/"]
)
def test_head_says_what_get_says(streams, path):
    answers = [httpx.request(method, f"{streams.url}{path}") for method in ("HEAD", "GET")]
    head, get = ({name: text for name, text in answer.headers.items() if name in SAME} for answer in answers)
    assert answers[0].status_code == answers[1].status_code
    assert answers[0].content == b""
    # The length of an answer to HEAD may be left out.
    assert head == {name: get[name] for name in head}
    assert "content-length" in head or "content-length" not in get


def test_a_range_of_a_static_file_is_answered(streams):
    whole = httpx.get(f"{streams.url}/static/wisheasy/style.css").content
    part = {"Range": "bytes=10-19", "Accept-Encoding": "identity"}
    for method, expected in (("GET", whole[10:20]), ("HEAD", b"")):
        answer = httpx.request(method, f"{streams.url}/static/wisheasy/style.css", headers=part)
        assert (answer.status_code, answer.content) == (206, expected)
        assert answer.headers["content-length"] == "10"


def most_memory(server):
    """Of each worker, in bytes."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(server.pid)], capture_output=True, text=True, check=True)
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in found.stdout.split()]
    return sum(int(status.split("VmHWM:")[1].split()[0]) * 1024 for status in statuses)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="there is no /proc here")
async def test_a_static_file_is_read_no_further_when_its_client_leaves(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(static, "CHUNK", 10)
    (tmp_path / "film").write_bytes(b"x" * 10_000)
    settings.STATIC_ROOT, settings.WHITENOISE_AUTOREFRESH, settings.WHITENOISE_USE_FINDERS = tmp_path, False, False
    sent, gone = [], asyncio.Event()
    incoming = [{"type": "http.request"}]

    async def receive():
        if not incoming:
            await gone.wait()
        return incoming.pop() if incoming else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if len(sent) == 5:
            gone.set()

    scope = {"type": "http", "method": "GET", "path": f"{settings.STATIC_URL}film", "headers": []}
    await static.StaticFiles(None)(scope, receive, send)
    assert sent[0]["status"] == 200
    assert len(sent) < 10


@each("file", but=["stock"])
def test_a_large_file_takes_no_memory(streams, name):
    httpx.get(f"{streams.url}/stream/nothing")
    before = most_memory(streams)
    with httpx.stream("GET", f"{streams.url}/stream/{name}?name=whole") as answer:
        assert sum(map(len, answer.iter_bytes())) == LARGE
    assert most_memory(streams) - before < 30_000_000


@each("sync", "tight", "coroutine")
def test_a_client_that_goes_away_ends_its_stream(streams, name):
    with httpx.stream("GET", f"{streams.url}/stream/{name}?name=get-{name}") as answer:
        assert next(answer.iter_bytes())[:1] == b"x"
    assert is_over(streams, f"get-{name}")
    assert httpx.get(f"{streams.url}/healthz/live").status_code == 200


@pytest.mark.parametrize("streams", [name for name in SERVERS if name != "stock"], indirect=True)
def test_nothing_of_it_is_a_line_in_the_log(streams):
    said = [line for line in streams.log.read_text().splitlines() if '"level": "' in line]
    assert [line for line in said if '"INFO"' not in line and "Not Found" not in line] == []
