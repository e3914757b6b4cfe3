"""Sync work is done on a bounded set of threads, which is never seen in an answer."""

import asyncio
import concurrent.futures
import contextvars
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
from kit.serving.threads import Call, RequestContext, RequestExecutor, Threads
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


async def test_the_template_of_a_sync_view_is_rendered_on_the_way_that_the_view_took(threads, monkeypatch):
    submitted, submit = [], RequestExecutor.submit
    monkeypatch.setattr(RequestExecutor, "submit", lambda self, *call: submitted.append(call) or submit(self, *call))
    ways = []
    for path in ("/sync", "/template"):
        assert status(settled(await Client(Handler(threads)).ask(path))) == 200
        ways.append(len(submitted))
        submitted.clear()
    assert ways[0] == ways[1]


VARIABLE = contextvars.ContextVar("variable", default="")


class Calls:
    def here(self):
        """What it finds of its caller's, and leaves for it; on which thread."""
        found = VARIABLE.get()
        VARIABLE.set("of the thread")
        return found, threading.current_thread().name

    def fails(self):
        raise concurrent.futures.CancelledError

    async def waits(self):
        pass


@pytest.mark.parametrize("way", [Call, sync_to_async])
async def test_a_call_takes_context_variables_to_the_thread_and_back(way, threads):
    async with RequestContext(threads):
        VARIABLE.set("of the task")
        assert await way(Calls().here)() == ("of the task", "sync-1")
        assert VARIABLE.get() == "of the thread"


def test_a_call_has_all_that_asgiref_asks_of_one():
    made = vars(sync_to_async(Calls().here))
    assert vars(Call(Calls().here)).keys() == {name for name in made if not name.startswith(("__", "_is_coroutine"))}
    with pytest.raises(TypeError):
        Call(Calls().waits)


async def test_the_models_take_the_short_way(threads, monkeypatch):
    monkeypatch.setattr(Call, "__call__", lambda self, **_: asyncio.sleep(0, self.func.__name__))
    Handler(threads)
    assert await User.objects.acount() == "count"
    assert await User().adelete() == "delete"


async def test_a_call_that_its_thread_was_cancelled_in_cancels_its_task(threads):
    async with RequestContext(threads):
        with pytest.raises(asyncio.CancelledError):
            await sync_to_async(Calls().fails)()


async def test_a_cancelled_call_is_not_begun_and_one_that_is_under_way_keeps_nobody():
    threads, may_end, began = Threads(1), threading.Event(), []

    def work(name):
        began.append(name)
        may_end.wait(5)
        return name

    async def request(name):
        async with RequestContext(threads):
            return await sync_to_async(work)(name)

    first, second, third = (asyncio.create_task(request(name)) for name in ("first", "second", "third"))
    while not began:  # noqa: ASYNC110  (a thread tells it)
        await asyncio.sleep(0.01)
    first.cancel()
    second.cancel()
    await asyncio.wait([first, second], timeout=1)
    assert (first.cancelled(), second.cancelled(), third.done()) == (True, True, False)
    may_end.set()
    assert await third == "third"
    assert began == ["first", "third"]


def test_a_thread_outlives_the_loop_that_it_answers():
    threads, may_end = Threads(1), threading.Event()

    async def leaves():
        RequestExecutor(threads).submit(may_end.wait, 5)

    asyncio.run(leaves())
    may_end.set()
    assert RequestExecutor(threads).submit(threading.current_thread).result(5).name == "sync-1"
