"""How a request ends: closed, cancelled, or left by its client."""

import asyncio

import pytest
from django.core import signals
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse, StreamingHttpResponse

from kit.serving.handler import Handler

from .client import Client, scope_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # Sync iterators are among the cases.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators"),
]


async def test_signals_reach_every_receiver_in_djangos_order(threads):
    calls = []

    def started(**kwargs):
        calls.append("sync started")

    async def started_async(**kwargs):
        calls.append("async started")

    def finished(**kwargs):
        calls.append("sync finished")

    async def finished_async(**kwargs):
        calls.append("async finished")

    signals.request_started.connect(started)
    signals.request_started.connect(started_async)
    signals.request_finished.connect(finished)
    signals.request_finished.connect(finished_async)
    try:
        for handler in (ASGIHandler(), Handler(threads)):
            calls.clear()
            await Client(handler).ask("/async")
            assert calls == ["sync started", "async started", "sync finished", "async finished"]
    finally:
        signals.request_started.disconnect(started)
        signals.request_started.disconnect(started_async)
        signals.request_finished.disconnect(finished)
        signals.request_finished.disconnect(finished_async)


async def closing(handler, view):
    """Answer with what `view` makes; the response, when the request is over."""
    made = []

    async def chain(request):
        made.append(view())
        return made[0]

    handler._middleware_chain = chain
    await Client(handler).ask("/anything")
    return made[0]


@pytest.mark.parametrize("kind", ["stock", "own"])
async def test_a_response_is_closed_with_all_that_hangs_on_it(threads, kind):
    handler = {"stock": ASGIHandler, "own": lambda: Handler(threads)}[kind]()
    closed = []

    def view():
        response = HttpResponse("x")
        response._resource_closers.append(lambda: closed.append(True))
        return response

    assert (await closing(handler, view)).closed
    assert closed == [True]
    assert (await closing(handler, lambda: HttpResponse("x"))).closed


async def disconnecting(handler, path, after_seconds):
    """A client that sends a request and is gone `after_seconds` later. What was sent to it, and how the task ended."""
    sent, asked = [], []

    async def receive():
        if not asked:
            asked.append(True)
            return {"type": "http.request"}
        await asyncio.sleep(after_seconds)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    task = asyncio.create_task(handler(scope_of(path), receive, send))
    done, _ = await asyncio.wait([task], timeout=5)
    assert done
    return sent, task.exception()


@pytest.mark.parametrize("kind", ["stock", "own"])
async def test_a_client_that_goes_away_ends_the_view(threads, kind):
    handler = {"stock": ASGIHandler, "own": lambda: Handler(threads)}[kind]()
    seen, finished = [], []

    async def chain(request):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    def count(**kwargs):
        finished.append(True)

    signals.request_finished.connect(count)
    handler._middleware_chain = chain
    try:
        sent, error = await disconnecting(handler, "/anything", 0.1)
    finally:
        signals.request_finished.disconnect(count)
    assert (sent, error, seen, finished) == ([], None, ["cancelled"], [True])


@pytest.mark.parametrize("kind", ["stock", "own"])
async def test_a_client_that_goes_away_ends_its_stream(threads, kind):
    handler = {"stock": ASGIHandler, "own": lambda: Handler(threads)}[kind]()
    ended = []

    async def parts():
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.02)
        finally:
            ended.append(True)

    async def chain(request):
        response = StreamingHttpResponse(parts())
        response._resource_closers.append(lambda: ended.append("closed"))
        return response

    handler._middleware_chain = chain
    sent, error = await disconnecting(handler, "/anything", 0.2)
    assert len(sent) > 3
    assert (error, ended) == (None, [True, "closed"])


@pytest.mark.parametrize("kind", ["stock", "own"])
async def test_a_client_that_goes_away_before_its_body_came_is_no_request(threads, kind):
    handler = {"stock": ASGIHandler, "own": lambda: Handler(threads)}[kind]()
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await handler(scope_of("/sync"), receive, send)
    assert sent == []


@pytest.mark.parametrize("seconds", [0.0, 0.2], ids=["at-once", "later"])
@pytest.mark.parametrize("kind", ["stock", "own"])
async def test_a_cancelled_request_is_cancelled(threads, kind, seconds):
    handler = {"stock": ASGIHandler, "own": lambda: Handler(threads)}[kind]()
    begun = asyncio.Event()

    async def chain(request):
        begun.set()
        await asyncio.sleep(10)

    handler._middleware_chain = chain

    async def receive():
        if not begun.is_set():
            return {"type": "http.request"}
        await asyncio.Event().wait()

    async def send(message):
        pass

    task = asyncio.create_task(handler(scope_of("/anything"), receive, send))
    await begun.wait()
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
