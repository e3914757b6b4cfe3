"""A sync stream under ASGI: each part leaves as it is made, on the bounded threads, and it ends with its client."""

import asyncio
import contextvars
import gzip
import threading
import time
import warnings
from functools import partial

import pytest
from channels.db import database_sync_to_async
from django.db import connection
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.urls import path

from apps.accounts.models import User
from kit.serving.handler import Handler
from kit.serving.threads import RequestExecutor

from .client import BOUND, BUILT_IN, Client, scope_of

pytestmark = pytest.mark.django_db(transaction=True)

NUMBER = contextvars.ContextVar("number")


class Visit:
    """A request whose client takes the parts one by one, and goes away when it likes."""

    def __init__(self, threads, view):
        handler = Handler(threads)

        async def chain(request):
            self.response = view()
            return self.response

        handler._middleware_chain = chain
        self.parts, self.gone = asyncio.Queue(1), asyncio.Event()
        self.asked = False
        self.task = asyncio.create_task(handler(scope_of("/stream"), self.receive, self.send))

    async def receive(self):
        if self.asked:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        self.asked = True
        return {"type": "http.request"}

    async def send(self, message):
        if message["type"] == "http.response.body":
            await self.parts.put(message.get("body", b""))

    async def part(self):
        async with asyncio.timeout(5):
            return await self.parts.get()

    async def go_away(self):
        self.gone.set()
        async with asyncio.timeout(5):
            await self.task
        assert self.response.closed


def endless(ended, seconds=0.0, part=b"x"):
    try:
        while True:
            yield part
            time.sleep(seconds)
    finally:
        ended.append(threading.current_thread().name)


async def all_of(threads, view):
    visit = Visit(threads, view)
    parts = []
    while part := await visit.part():
        parts.append(part)
    await visit.task
    return parts


KINDS = {
    "generator": lambda ended, seconds=0.0: StreamingHttpResponse(endless(ended, seconds)),
    "map": lambda ended, seconds=0.0: StreamingHttpResponse(map(bytes.upper, endless(ended, seconds))),
    "text": lambda ended, seconds=0.0: StreamingHttpResponse(endless(ended, seconds, part="x")),
}


@pytest.mark.parametrize("seconds", [0, 0.01], ids=["fast", "slow"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_goes_away_ends_the_stream_on_a_thread(threads, kind, seconds):
    ended = []
    visit = Visit(threads, partial(KINDS[kind], ended, seconds))
    for _ in range(5):
        assert (await visit.part()).lower() == b"x"
    await visit.go_away()
    assert [name.startswith("sync-") for name in ended] == [True]


async def test_the_first_part_leaves_before_the_second_is_made(threads):
    go_on = threading.Event()

    def parts():
        yield b"first"
        assert go_on.wait(5)
        yield b"second"

    visit = Visit(threads, lambda: StreamingHttpResponse(parts()))
    assert await visit.part() == b"first"
    go_on.set()
    assert await visit.part() == b"second"
    assert await visit.part() == b""
    await visit.task


async def test_django_has_nothing_to_warn_of(threads):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert await all_of(threads, lambda: StreamingHttpResponse(iter([b"a", "b"]))) == [b"a", b"b"]


async def test_a_client_that_takes_nothing_keeps_no_thread(threads):
    handler, ended = Handler(threads), []
    visits = [Visit(threads, partial(KINDS["generator"], ended)) for _ in range(BOUND * 2)]
    for visit in visits:
        await visit.part()

    async def chain(request):
        return HttpResponse(f"{await User.objects.acount()}")

    handler._middleware_chain = chain
    async with asyncio.timeout(5):
        assert (await Client(handler).ask("/sync"))[1]["body"] == b"0"
    assert ended == []
    for visit in visits:
        await visit.go_away()
    assert len(ended) == BOUND * 2


async def test_no_more_is_made_than_the_client_takes(threads):
    made = []

    def parts():
        while True:
            made.append(True)
            yield b"x" * 100_000

    visit = Visit(threads, lambda: StreamingHttpResponse(parts()))
    for _ in range(10):
        await visit.part()
    await visit.go_away()
    # Sent in messages of 64 KB, as by Django.
    assert len(made) < 12


async def test_many_small_parts_cost_few_calls(threads, monkeypatch):
    calls, submit = [], RequestExecutor.submit
    monkeypatch.setattr(RequestExecutor, "submit", lambda *given: (calls.append(True), submit(*given))[1])
    # Whatever else the machine has to do.
    monkeypatch.setattr("kit.serving.handler.STREAM_SECONDS", 5)
    assert len(await all_of(threads, lambda: StreamingHttpResponse(b"x" for _ in range(5000)))) == 5000
    assert len(calls) < 10


async def test_it_runs_in_one_context_to_its_end(threads):
    ended = []

    def parts():
        token = NUMBER.set(1)
        try:
            while True:
                yield str(NUMBER.get())
                NUMBER.set(NUMBER.get() + 1)
        finally:
            # Of another context, it would be refused.
            NUMBER.reset(token)
            ended.append(True)

    visit = Visit(threads, lambda: StreamingHttpResponse(parts()))
    assert [await visit.part() for _ in range(3)] == [b"1", b"2", b"3"]
    await visit.go_away()
    assert ended == [True]


async def test_an_open_cursor_keeps_its_connection(threads):
    await database_sync_to_async(User.objects.bulk_create)([User(username=f"{number}") for number in range(20)])

    def parts():
        # The connections are those of the thread.
        for user in User.objects.order_by("pk").iterator(chunk_size=2):
            yield f"{user.username} {id(connection.connection)}"

    visits = [Visit(threads, lambda: StreamingHttpResponse(parts())) for _ in range(BOUND)]
    seen = [[] for _ in visits]
    for _ in range(20):
        for visit, connections in zip(visits, seen, strict=True):
            connections.append((await visit.part()).split()[1])
    for visit in visits:
        await visit.part()
        await visit.task
    assert [len(set(connections)) for connections in seen] == [1] * BOUND


async def test_what_a_stream_raises_is_raised_and_it_is_closed(threads):
    ended = []

    def parts():
        try:
            yield b"x"
            raise RuntimeError("of the stream")
        finally:
            ended.append(True)

    visit = Visit(threads, lambda: StreamingHttpResponse(parts()))
    assert await visit.part() == b"x"
    with pytest.raises(RuntimeError, match="of the stream"):
        await visit.task
    assert ended == [True]


async def test_a_thread_that_fails_ends_the_stream(threads, monkeypatch):
    failures = [RuntimeError("of the database")]

    def fails():
        if failures:
            raise failures.pop()

    monkeypatch.setattr("kit.serving.threads.close_old_connections", fails)
    visit = Visit(threads, lambda: StreamingHttpResponse(iter([b"x"])))
    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="of the database"):
            await visit.task


@pytest.mark.parametrize("middleware", [[], ["django.middleware.gzip.GZipMiddleware"]], ids=["plain", "gzip"])
async def test_a_file_is_read_a_block_at_a_time_and_closed(threads, settings, tmp_path, middleware):
    settings.MIDDLEWARE = [*middleware, *BUILT_IN]
    (tmp_path / "large").write_bytes(b"0123456789" * 50_000)
    files = []

    def view(request):
        files.append(open(tmp_path / "large", "rb"))  # noqa: SIM115
        return FileResponse(files[0], content_type="text/plain")

    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": [path("large", view)]})
    start, *parts = await Client(Handler(threads)).ask("/large", headers={"accept-encoding": "gzip"})
    sent = b"".join(part.get("body", b"") for part in parts)
    assert (gzip.decompress(sent) if middleware else sent) == b"0123456789" * 50_000
    assert start["status"] == 200
    assert files[0].closed
    assert len(parts) > 5 or middleware
