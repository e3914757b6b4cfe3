"""The project's own WebSockets, which `websocket_urlpatterns`, beside `urlpatterns`, routes to Channels consumers or
other ASGI applications. This wraps each of them in the rules that hold for all."""

import asyncio
import logging
from contextlib import suppress

from django.conf import settings
from django.urls import URLPattern, get_resolver
from django.utils import translation

from kit.serving import timeouts

from . import audience, sockets

logger = logging.getLogger(__name__)

# Seconds that a consumer has to end after its connection: for its disconnect(), and what it was just doing. Longer than
# a client that does not read can delay the news, and within timeouts.WORKER_SHUTDOWN.
FAREWELL = timeouts.LIVE_CLOSE + 5

# Close codes of RFC 6455, section 7.4.1. Other servers, too, close an idle connection with the first: the client broke
# no rule (1008), and what it came for need not be done (1000).
GOING_AWAY = 1001
INTERNAL_ERROR = 1011
# The code for each reason to be sent away.
CODES = {audience.FORBIDDEN: sockets.FORBIDDEN, audience.STOPPING: sockets.SERVICE_RESTART}


def patterns() -> list[URLPattern]:
    return getattr(get_resolver().urlconf_module, "websocket_urlpatterns", [])


def routes() -> list[URLPattern]:
    """The patterns, for Channels' URLRouter."""
    return [URLPattern(each.pattern, _guarded(each.callback), each.default_args, each.name) for each in patterns()]


def _guarded(consumer):
    async def websocket(scope, receive, send):
        if not await sockets.refuse_foreign(scope, send):
            await _Connection(scope, receive, send).serve(consumer)

    return websocket


class _Connection:
    def __init__(self, scope, receive, send):
        self.scope = scope
        self.from_server = receive
        self.to_server = send
        self.loop = asyncio.get_running_loop()
        self.accepted = False
        # True once it is closed, by either side: the server tells the consumer of that with websocket.disconnect.
        self.over = False
        self.patience = asyncio.timeout(None)
        self.closing: asyncio.Task | None = None
        self.active_at = self.loop.time()
        self.look_again()

    async def serve(self, consumer):
        try:
            async with self.patience:
                await self.call(consumer)
        except TimeoutError:
            logger.warning("Ended the consumer of %s, %s s after its connection.", self.scope["path"], FAREWELL)
        finally:
            self.idle.cancel()
            if self.closing:
                await self.closing

    async def call(self, consumer):
        try:
            visitor = await audience.visitor_of(self.scope)
            with (
                audience.watched(visitor, lambda reason: self.close(CODES[reason])),
                translation.override(sockets.language_of(self.scope)),
            ):
                await consumer({**self.scope, "user": visitor.user}, self.receive, self.send)
        except Exception:
            logger.exception("The consumer of %s failed.", self.scope["path"])
            if self.accepted:
                self.close(INTERNAL_ERROR)
            elif not self.over:
                await sockets.refuse(self.scope, self.to_server, 500, "This WebSocket failed.")

    async def receive(self):
        while True:
            message = await self.from_server()
            if message["type"] == "websocket.disconnect":
                self.end()
            elif message["type"] == "websocket.receive":
                self.active_at = self.loop.time()
                if self.over:
                    continue
            return message

    async def send(self, message):
        if self.over:
            return
        self.active_at = self.loop.time()
        if message["type"] == "websocket.accept":
            self.accepted = True
        elif message["type"] == "websocket.close":
            self.end()
        try:
            async with asyncio.timeout(sockets.SEND_TIMEOUT):
                await self.to_server(message)
        except TimeoutError:
            self.close(sockets.TRY_AGAIN_LATER)
        except OSError:
            # The client is gone. A consumer that this ended would not run its disconnect().
            self.end()

    def close(self, code):
        if not self.over:
            self.end()
            self.closing = self.loop.create_task(self.send_close(code))

    def end(self):
        self.over = True
        if self.patience.when() is None:
            self.patience.reschedule(self.loop.time() + FAREWELL)

    async def send_close(self, code):
        with suppress(OSError):
            await self.to_server({"type": "websocket.close", "code": code})

    def look_again(self):
        """Close a connection on which nothing was said for too long."""
        left = self.active_at + settings.WEBSOCKET_IDLE - self.loop.time()
        if left > 0:
            self.idle = self.loop.call_later(left, self.look_again)
        else:
            self.close(GOING_AWAY)
