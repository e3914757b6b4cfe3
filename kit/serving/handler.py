"""Django's ASGI handler without the threads that need not be there. STOCK_ASGI=1 steps back to Django's own.

What it does differently, and why each is safe:

- Sync work goes to the bounded threads of threads.py, and not to a new thread for each request.
- The hooks of Django's middleware are run in place where they do not wait, see middleware.py.
- Signals: Django's own receivers of request_started and request_finished look after the connections of the thread
  they are called on. threads.py does that on the threads that have connections; on the event loop's there are none.
  If there are other receivers too, all are called as Django calls them.
- The answer is closed in place when there is nothing to close but a request without uploads.
- A body that comes in one message stays in memory. A larger one is spooled, as by Django.
- A client that goes away is listened for after LISTEN_AFTER, for most requests are over by then.
- An exception becomes a response on a thread of the bounded set, see respond_to.
- A TemplateResponse of a sync view is rendered where the view was, without another way to a thread, see rendered.
- The models' async methods reach their thread by a shorter way, see Call in threads.py.
- The parts of a sync stream leave as they are made, see in_parts. Django makes a list of them first.

What a tracer has put in the place of one of Django's methods is called where Django calls it.
"""

import asyncio
import time
from contextlib import aclosing, closing
from contextvars import copy_context
from functools import partial, wraps
from inspect import iscoroutinefunction
from io import BytesIO

from asgiref.sync import sync_to_async
from django.core import signals
from django.core.cache import caches, close_caches
from django.core.cache.backends.base import BaseCache
from django.core.exceptions import RequestAborted
from django.core.handlers import base
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import close_old_connections, reset_queries
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import set_script_prefix, set_urlconf
from django.utils import module_loading

from . import is_own, replaced
from .middleware import counterpart, respond_to
from .threads import RequestContext, Threads, current_executor, shorten_calls

# Seconds after which a request that is still being answered begins to listen for the client's going away.
LISTEN_AFTER = 0.05
# How long a stream keeps a thread, in seconds and in bytes, while its parts come faster than that.
STREAM_SECONDS = 0.01
STREAM_BYTES = 256 * 1024
# They do nothing on a thread without connections, or what closes_at_once looks after.
OWN_RECEIVERS = {id(receiver) for receiver in (reset_queries, close_old_connections, close_caches, base.reset_urlconf)}

METHODS = vars(ASGIHandler)
DJANGOS = {name: method for name, method in METHODS.items() if is_own(method)}
CLOSES = [close for close in (HttpResponseBase.close, BaseCache.close) if is_own(close)]


def is_djangos(*names):
    """Are these methods of ASGIHandler still Django's own?"""
    for name in names:  # noqa: SIM110  (each request asks, and a generator is slower)
        if METHODS[name] is not DJANGOS.get(name):
            return False
    return True


class Handler(ASGIHandler):
    def __init__(self, threads: Threads):
        self.threads = threads
        # What a signal's receivers were when they were last looked at, and whether they were Django's own alone.
        self.seen_receivers = {}
        shorten_calls()
        super().__init__()

    def load_middleware(self, is_async=False):
        load, convert = module_loading.cached_import, base.convert_exception_to_response
        with (
            # What import_string asks: a tracer puts its own in the place of that one, which wraps each middleware.
            replaced(module_loading, cached_import=lambda *path: counterpart(load(*path))),
            replaced(base, convert_exception_to_response=partial(_convert, convert) if is_own(convert) else convert),
        ):
            super().load_middleware(is_async)

    def make_view_atomic(self, view):
        view = super().make_view_atomic(view)
        # Hooks for template responses come between the two.
        return view if iscoroutinefunction(view) or self._template_response_middleware else rendered(view)

    async def handle(self, scope, receive, send):
        if not current_executor():
            # The worker opens one for the whole connection.
            async with RequestContext(self.threads):
                return await self.handle(scope, receive, send)
        if not is_djangos("handle", "listen_for_disconnect"):
            return await super().handle(scope, receive, send)
        try:
            body_file = await self.read_body(receive)
        except RequestAborted:
            return
        with closing(body_file):
            set_script_prefix(get_script_prefix(scope))
            if not self.only_own_receivers(signals.request_started):
                await signals.request_started.asend(sender=self.__class__, scope=scope)
            request, error_response = self.create_request(scope, body_file)
            if request is None:
                await self.send_response(error_response, send)
                await sync_to_async(error_response.close)()
                return
            response = await self.answer(request, receive, send)
            if response is None:
                await signals.request_finished.asend(sender=self.__class__)
            elif self.closes_at_once(request, response):
                # HttpResponse.close, with what its signal comes to here.
                request.close()
                response._resource_closers.clear()
                response.closed = True
                set_urlconf(None)
            else:
                await sync_to_async(response.close)()

    async def answer(self, request, receive, send):
        """Answer the request, unless the client goes away before. The response, or None if there was none by then."""
        disconnect = _Disconnect(receive)
        response = None
        try:
            response = await self.run_get_response(request)
            await self.send_response(response, send)
        except asyncio.CancelledError:
            if not disconnect.has_cancelled():
                raise
        finally:
            disconnect.ignore()
        await disconnect.settle()
        return response

    async def read_body(self, receive):
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False) and is_djangos("read_body"):
            return BytesIO(message.get("body", b""))

        async def from_the_beginning():
            nonlocal message
            first, message = message, None
            return first if first is not None else await receive()

        return await super().read_body(from_the_beginning)

    async def send_response(self, response, send):
        if response.streaming and not getattr(response, "is_async", True):
            return await self.send_parts(response, send)
        if (
            response.streaming
            or len(response.content) > self.chunk_size
            or not is_djangos("send_response", "chunk_bytes")
        ):
            return await super().send_response(response, send)
        # The same two messages, without looking each header up by its name.
        headers = [(name.encode("ascii"), value.encode("latin1")) for name, value in response.headers._store.values()]
        headers += [(b"Set-Cookie", cookie.OutputString().encode("ascii")) for cookie in response.cookies.values()]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.content, "more_body": False})

    async def send_parts(self, response, send):
        # One for the whole stream, as under WSGI: what it sets for a part, such as a language, it finds at the next.
        context = copy_context()
        response._resource_closers[:] = [partial(context.run, close) for close in response._resource_closers]
        async with aclosing(in_parts(response.streaming_content, context)) as parts:
            response.streaming_content = parts
            await super().send_response(response, send)

    def only_own_receivers(self, signal):
        receivers, only_own = self.seen_receivers.get(signal, (None, False))
        if signal.receivers != receivers:
            # The first half of a receiver's key is its identity, see Signal.connect.
            only_own = all(key[0] in OWN_RECEIVERS for key, *_ in signal.receivers)
            self.seen_receivers[signal] = (signal.receivers.copy(), only_own)
        return only_own

    def closes_at_once(self, request, response):
        return (
            type(response).close in CLOSES
            and response._resource_closers == [request.close]
            and "_files" not in vars(request)
            and self.only_own_receivers(signals.request_finished)
            # A cache's close() that is not its base class's may wait for a server.
            and all(type(cache).close in CLOSES for cache in caches.all(initialized_only=True))
        )


class _Disconnect:
    """Cancels the task that it is made in when the client goes away, as Django's handler does."""

    def __init__(self, receive):
        self.receive = receive
        self.task = asyncio.current_task()
        self.listener = None
        self.error = None
        self.cancelled = False
        self.timer = asyncio.get_running_loop().call_later(LISTEN_AFTER, self.listen)

    def listen(self):
        self.listener = asyncio.get_running_loop().create_task(self.wait())

    async def wait(self):
        message = await self.receive()
        if message["type"] != "http.disconnect":
            self.error = AssertionError(f"Invalid ASGI message after request body: {message['type']}")
        self.cancelled = True
        self.task.cancel()

    def ignore(self):
        self.timer.cancel()
        if self.listener is not None:
            self.listener.cancel()

    def has_cancelled(self):
        """Returns whether only this object cancelled the task, which then goes on."""
        if not self.cancelled or self.task.uncancel() > 0:
            return False
        self.cancelled = False
        if self.error:
            raise self.error
        return True

    async def settle(self):
        """Take up a cancellation that came after the last await of the answer."""
        if not self.cancelled:
            return
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not self.has_cancelled():
                raise


def rendered(view):
    """The sync view with its answer rendered. Where Django renders it, there is nothing left to do."""

    @wraps(view)
    def inner(*args, **kwargs):
        response = view(*args, **kwargs)
        if isinstance(response, SimpleTemplateResponse) and not iscoroutinefunction(response.render):
            answer = response.render()

            async def render():
                del response.render
                return answer

            response.render = render
        return response

    return inner


async def in_parts(iterator, context):
    """What a sync iterator yields, made on the bounded threads: each part leaves at once, and many small ones cost one
    call. The iterator is let go of on a thread too, for what it does at its end may wait."""
    loop = asyncio.get_running_loop()
    made = asyncio.Queue()
    left = False

    def make():
        size, until = 0, time.monotonic() + STREAM_SECONDS
        for part in iterator:
            loop.call_soon_threadsafe(made.put_nowait, part)
            size += len(part)
            if left or size >= STREAM_BYTES or time.monotonic() >= until:
                return True
        return False

    def let_go():
        nonlocal iterator
        del iterator

    more = True
    try:
        while more:
            call = asyncio.create_task(sync_to_async(make, context=context)())
            call.add_done_callback(lambda _: made.put_nowait(None))
            while (part := await made.get()) is not None:
                yield part
            more = await call
    finally:
        left = True
        if more:
            await asyncio.gather(call, sync_to_async(let_go, context=context)(), return_exceptions=True)


def _convert(convert_exception_to_response, get_response):
    if not iscoroutinefunction(get_response):
        return convert_exception_to_response(get_response)

    @wraps(get_response)
    async def inner(request):
        try:
            return await get_response(request)
        except Exception as error:
            return await respond_to(error, request)

    return inner
