"""Sync work is done on a bounded set of threads, which is never seen in an answer."""

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.core.cache import cache, caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpResponse

from apps.accounts.models import User
from kit.serving.handler import Handler
from wisheasy.settings import MIDDLEWARE

from .client import BOUND, BUILT_IN, Client, after, body, header, settled, status

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # Sync iterators are among the cases.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators"),
]


@pytest.mark.parametrize("path", ["thread-local", "thread-local-async"])
@pytest.mark.parametrize("middleware", ["sync_only", "TwoHalves"])
async def test_a_middleware_finds_what_it_left_on_its_thread(threads, settings, middleware, path):
    settings.MIDDLEWARE = after("CommonMiddleware", middleware)
    client = Client(Handler(threads))
    answers = await asyncio.gather(*(client.ask(f"/{path}") for _ in range(BOUND * 5)))
    name = {"sync_only": "X-Sync-Only", "TwoHalves": "X-Two-Halves"}[middleware]
    for answer in map(settled, answers):
        assert header(answer, name) == ["kept"]
        assert body(answer) == "kept"


@pytest.mark.parametrize("middleware", [BUILT_IN, MIDDLEWARE], ids=["built-in", "settings"])
async def test_a_page_that_waits_for_nothing_takes_no_thread(threads, settings, middleware):
    settings.MIDDLEWARE = middleware
    # A cache that this process has used is closed at the end of each request; one in memory has nothing to close.
    cache.set("used", True)
    assert status(settled(await Client(Handler(threads)).ask("/async"))) == 200
    assert threads.started == 0


async def test_a_cache_that_has_something_to_close_is_closed(threads, monkeypatch):
    closed = []

    class Connected(LocMemCache):
        def close(self, **kwargs):
            closed.append(threading.current_thread().name)

    cache.set("used", True)
    monkeypatch.setattr(caches, "all", lambda initialized_only: [Connected("here", {})])
    assert status(settled(await Client(Handler(threads)).ask("/async"))) == 200
    assert closed == ["sync-1"]


async def test_atomic_requests_undo_what_a_failing_view_did(threads, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    for name, handler in (("stock", ASGIHandler()), ("own", Handler(threads))):
        client = Client(handler)
        good = settled(await client.ask("/atomic", query=f"name=good-{name}"))
        bad = settled(await client.ask("/atomic", query=f"name=bad-{name}&fail"))
        assert (status(good), body(good), status(bad)) == (200, "True", 500)
    names = await database_sync_to_async(lambda: set(User.objects.values_list("username", flat=True)))()
    assert names == {"atomic-good-stock", "atomic-good-own"}


async def test_an_open_transaction_keeps_its_thread(threads):
    client = Client(Handler(threads))
    answers = await asyncio.gather(*(client.ask("/transaction-async", query=f"name={name}") for name in range(8)))
    assert {(status(answer), body(answer)) for answer in map(settled, answers)} == {(200, "0")}


async def test_a_task_that_outlives_its_request_can_still_query(threads):
    handler = Handler(threads)
    tasks = []

    async def later():
        await asyncio.sleep(0.05)
        return await User.objects.acount()

    async def chain(request):
        tasks.append(asyncio.create_task(later()))
        return HttpResponse("x")

    handler._middleware_chain = chain
    await Client(handler).ask("/anything")
    assert await tasks[0] == 0


async def test_there_are_never_more_threads_than_the_bound(threads):
    client = Client(Handler(threads))
    at_once, most, lock = [0], [0], threading.Lock()

    def view():
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        threading.Event().wait(0.02)
        with lock:
            at_once[0] -= 1

    async def chain(request):
        await sync_to_async(view)()
        return HttpResponse("x")

    client.handler._middleware_chain = chain
    answers = await asyncio.gather(*(client.ask("/anything") for _ in range(30)))
    assert all(answer[0]["status"] == 200 for answer in answers)
    assert (threads.started, most[0]) == (BOUND, BOUND)


async def test_who_waits_for_something_slow_keeps_no_thread_from_the_others(threads):
    async def chain(request):
        await User.objects.acount()
        await asyncio.sleep(0.5)
        await User.objects.acount()
        return HttpResponse("x")

    client = Client(Handler(threads))
    client.handler._middleware_chain = chain
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(client.ask("/anything") for _ in range(40)))
    assert all(answer[0]["status"] == 200 for answer in answers)


async def test_a_thread_outlives_what_goes_wrong_on_it(threads, monkeypatch):
    failures = [RuntimeError("of the database")] * BOUND

    def fails_at_first():
        if failures:
            raise failures.pop()

    monkeypatch.setattr("kit.serving.threads.close_old_connections", fails_at_first)
    client = Client(Handler(threads))
    first = [(await client.ask("/sync"))[0]["status"] for _ in range(BOUND)]
    assert first.count(500) >= 1
    assert (await client.ask("/sync"))[0]["status"] == 200


async def test_connections_are_kept_between_requests(threads, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 60)
    keys = set()

    async def chain(request):
        keys.add(await sync_to_async(lambda: id(ensured().connection))())
        return HttpResponse("x")

    def ensured():
        connections["default"].ensure_connection()
        return connections["default"]

    client = Client(Handler(threads))
    client.handler._middleware_chain = chain
    for _ in range(10):
        await client.ask("/anything")
    assert len(keys) == 1
