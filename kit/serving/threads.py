"""The threads on which ASGI requests do their sync work: a bounded set that is kept between requests.

Django's own handler makes a thread, and so a database connection, for each request. Here a request gets a thread for
each call of sync code, or waits its turn for one, and gives it back right after: what it waits for in between costs
the others neither a thread nor a connection. It keeps the thread as long as the thread holds something of it:
an open transaction, a result that is still being read, or the first half of a middleware that relies on its thread.

Connections belong to threads, so there are never more of them than threads, and CONN_MAX_AGE and health checks mean
what they mean under WSGI.
"""

import asyncio
import select
import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager, suppress
from contextvars import Context
from functools import lru_cache, partial
from inspect import iscoroutinefunction
from queue import SimpleQueue
from types import MethodType
from weakref import WeakSet, ref

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import close_old_connections, connections, reset_queries
from django.db.backends.signals import connection_created
from django.db.models import base, query
from django.db.models.fields import related_descriptors


class Threads:
    """At most `bound` threads. Each serves one request at a time."""

    def __init__(self, bound: int):
        self.bound = bound
        self.lock = threading.Lock()
        self.started = 0
        # The one that was busy last is taken first: its connection is warm.
        self.idle: dict[_Thread, None] = {}
        self.waiting: deque[RequestExecutor] = deque()

    def around(self, application):
        """The ASGI application, with the sync work of each of its connections done here, a call at a time."""

        async def with_threads(scope, receive, send):
            async with RequestContext(self):
                await application(scope, receive, send)

        return with_threads

    def serve_tasks_of(self, loop) -> None:
        """Do here what tasks that belong to no connection send to a thread; asgiref has one for all of them."""
        AsyncToSync.loop_thread_executors[loop] = CallExecutor(self)

    def assign(self, executor: "RequestExecutor") -> None:
        """Have a thread serve `executor`, now or when it is its turn. The lock is held."""
        if executor.thread is not None:
            thread = executor.thread
        elif executor.last in self.idle and executor.last.owner is executor:
            thread = executor.last
            del self.idle[thread]
        elif self.idle:
            thread, _ = self.idle.popitem()
        elif self.started < self.bound:
            self.started += 1
            thread = _Thread(self)
            # Nothing of the request that happens to be the first is the thread's own.
            Context().run(thread.start)
        else:
            self.waiting.append(executor)
            return
        thread.inbox.put(executor)


class RequestExecutor(Executor):
    """Does the sync work of one request, a call at a time, each on a thread of the set."""

    def __init__(self, threads: Threads):
        self.threads = threads
        self.calls: deque[tuple[Future | asyncio.Future, partial]] = deque()
        # True while a thread has calls of this request, or is waited for.
        self.busy = False
        # The thread that this request keeps between two calls, and the one that it had last.
        self.thread: _Thread | None = None
        self.last: _Thread | None = None
        self.pins = 0

    def submit(self, function, /, *args, **kwargs) -> Future | asyncio.Future:
        """On an event loop, returns a future of that loop: asyncio would wrap any other in one."""
        loop = asyncio._get_running_loop()
        future = loop.create_future() if loop else Future()
        with self.threads.lock:
            self.calls.append((future, partial(function, *args, **kwargs)))
            if not self.busy:
                self.busy = True
                self.threads.assign(self)
        return future

    @contextmanager
    def pinned(self):
        """Stay on one thread from the first call in here to the end."""
        self.pins += 1
        try:
            yield
        finally:
            self.pins -= 1
            if self.thread is not None and not self.pins:
                # Give it back, unless it holds something else.
                self.submit(_nothing)

    def finish(self) -> None:
        """Close what the finished request has left open, and connections that must not outlast a request."""
        if self.busy or self.thread is not None or (self.last is not None and not _connections_are_kept()):
            self.submit(_end_request)


class RequestContext(ThreadSensitiveContext):
    """sync_to_async in this context uses the executor of this request."""

    def __init__(self, threads: Threads):
        super().__init__(executor=RequestExecutor(threads))

    async def __aexit__(self, exc, value, traceback):
        await super().__aexit__(exc, value, traceback)
        self._executor.finish()
        # A task that the view has started may outlive the request. Under Django's own handler it can still query.
        self._exited = False
        SyncToAsync.context_to_thread_executor[self] = self._executor


class CallExecutor(Executor):
    """Does each call on a thread of the set, for sync work that belongs to no request."""

    def __init__(self, threads: Threads):
        self.threads = threads

    def submit(self, function, /, *args, **kwargs) -> Future | asyncio.Future:
        executor = RequestExecutor(self.threads)
        future = executor.submit(function, *args, **kwargs)
        future.add_done_callback(lambda _: executor.finish())
        return future


class Call(SyncToAsync):
    """sync_to_async for Django's models. They call the result at once, so it does not have to look like the method,
    which takes asgiref a seventh of each call."""

    def __init__(self, method, **options):
        if options or type(method) is not MethodType or _is_async(method.__func__):
            super().__init__(method, **options)
        else:
            self.func, self.context, self._thread_sensitive, self._executor = method, None, True, None


_is_async = lru_cache(iscoroutinefunction)


def shorten_calls() -> None:
    """Have the async methods of Django's models use Call."""
    for module in (query, base, related_descriptors):
        if module.sync_to_async is sync_to_async:
            module.sync_to_async = Call


def current_executor() -> RequestExecutor | None:
    """The executor of the request that is being served, None where there is none."""
    context = SyncToAsync.thread_sensitive_context.get(None)
    executor = SyncToAsync.context_to_thread_executor.get(context) if context else None
    return executor if isinstance(executor, RequestExecutor) else None


class _Thread(threading.Thread):
    def __init__(self, threads: Threads):
        super().__init__(name=f"sync-{threads.started}", daemon=True)
        self.threads = threads
        self.inbox: SimpleQueue[RequestExecutor] = SimpleQueue()
        self.owner: RequestExecutor | None = None
        # Server-side cursors that may still be read from.
        self.cursors: WeakSet = WeakSet()

    def run(self):
        while True:
            executor = self.inbox.get()
            while executor is not None:
                executor = self.serve(executor)

    def serve(self, executor: RequestExecutor) -> RequestExecutor | None:
        """Do one call; the request to serve next, if there is one already."""
        future, function = executor.calls.popleft()
        loop = future.get_loop() if asyncio.isfuture(future) else None
        done = None
        if not future.cancelled() if loop else future.set_running_or_notify_cancel():
            try:
                self.turn_to(executor)
                done = partial(future.set_result, function())
            except BaseException as error:
                if loop and type(error) is CancelledError:
                    # As between any two futures of these kinds.
                    error = asyncio.CancelledError(*error.args)
                done = partial(future.set_exception, error)
        del function
        with self.threads.lock:
            following = self.after(executor)
        # Last, because the waiting code may submit its next call at once, and relies on the state of the threads.
        if done is not None and loop:
            # Raised if the loop is closed: then nothing waits for the result.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_unless_cancelled, future, done)
        elif done is not None:
            done()
        return following

    def turn_to(self, executor: RequestExecutor) -> None:
        if self.owner is not executor:
            self.owner = executor
            # As at the beginning of every request.
            reset_queries()
            close_old_connections()

    def after(self, executor: RequestExecutor) -> RequestExecutor | None:
        """Keep serving `executor`, wait for it, or turn to who waits longest. The lock is held."""
        keep = executor.pins or self.holds_something()
        executor.last = self
        executor.thread = self if keep else None
        if executor.calls and keep:
            return executor
        executor.busy = bool(executor.calls)
        if keep:
            return None
        if executor.busy:
            # It has more to do, and waits its turn like all others.
            self.threads.waiting.append(executor)
        if self.threads.waiting:
            return self.threads.waiting.popleft()
        self.threads.idle[self] = None
        return None

    def holds_something(self) -> bool:
        if self.cursors and any(not getattr(cursor, "closed", False) for cursor in self.cursors):
            return True
        return any(
            connection.in_atomic_block or (connection.connection is not None and not connection.autocommit)
            for connection in connections.all(initialized_only=True)
        )


def _unless_cancelled(future, done):
    if not future.cancelled():
        done()


def _nothing():
    pass


def _connections_are_kept():
    return all(options["CONN_MAX_AGE"] != 0 for options in connections.settings.values())


def _end_request():
    thread = threading.current_thread()
    if thread.holds_something():
        for connection in connections.all(initialized_only=True):
            connection.close()
            # In a transaction, close() alone leaves it marked as such.
            connection.connection = None
            connection.in_atomic_block = False
        thread.cursors.clear()
    close_old_connections()


def _watch_cursors(connection, **kwargs):
    """Let the thread know of the server-side cursors of its connection."""
    thread = threading.current_thread()
    if not isinstance(thread, _Thread) or "chunked_cursor" in vars(connection):
        return
    chunked_cursor = connection.chunked_cursor

    def watched():
        cursor = chunked_cursor()
        thread.cursors.add(cursor)
        return cursor

    connection.chunked_cursor = watched


connection_created.connect(_watch_cursors)


# --- Under WSGI as well ---

# Seconds. What goes away without a word, such as a machine, is found as before from then on.
RECENTLY = 1


def _watch_health(connection, **kwargs):
    """A kept connection to PostgreSQL is asked `SELECT 1` at the first query of each request (CONN_HEALTH_CHECKS). Not
    here, if it was in use a moment ago and nothing has come on it since: a server that ends sends at least that."""
    if connection.vendor != "postgresql":
        return
    ask, raw, used_at = type(connection).is_usable, connection.connection, time.monotonic()
    # Or it would outlive its thread, until the garbage is collected.
    weak = ref(connection)

    def is_usable():
        nonlocal used_at
        connection, now = weak(), time.monotonic()
        known = connection.connection is raw and not connection.errors_occurred and now - used_at < RECENTLY
        if not (known and _is_quiet(raw)) and not ask(connection):
            return False
        used_at = now
        return True

    # Each request that asks goes on to use it.
    connection.is_usable = is_usable


def _is_quiet(raw):
    if raw.closed:
        return False
    poll = select.poll()
    poll.register(raw, select.POLLIN)
    return not poll.poll(0)


if hasattr(select, "poll"):
    connection_created.connect(_watch_health)
