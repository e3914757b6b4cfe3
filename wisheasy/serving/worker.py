import asyncio
import sys

from gunicorn.arbiter import Arbiter
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from . import timeouts


class StoppingServer(Server):
    """A server that tells the application when it begins to stop: an open event stream or a long poll would
    otherwise hold it until the time-out."""

    async def shutdown(self, sockets=None):
        # Nobody new: who is sent away is to come back to another.
        for server in self.servers:
            server.close()
        await self.config.app.stop()
        await super().shutdown(sockets)


class WebSocket(WebSocketsSansIOProtocol):
    """Uvicorn's own, that lets go of clients that do not read. What closes a connection waits there until everything
    before it was taken, and who takes nothing could hold a connection, and all that is to be sent, for ever."""

    cutting_off = None

    async def send(self, message):
        if message["type"] == "websocket.close":
            self.cut_off_later()
        await super().send(message)

    def keepalive_timeout(self):
        super().keepalive_timeout()
        self.cut_off_later()

    def cut_off_later(self):
        self.cutting_off = self.loop.call_later(timeouts.LIVE_CLOSE, self.transport.abort)

    def connection_lost(self, exc):
        if self.cutting_off:
            self.cutting_off.cancel()
        super().connection_lost(exc)


class Worker(UvicornWorker):
    """UvicornWorker that stops within Gunicorn's own limit. By itself it ignores Gunicorn's graceful_timeout, so
    one slow request would hold the old worker until Gunicorn kills it."""

    CONFIG_KWARGS = {
        **UvicornWorker.CONFIG_KWARGS,
        "timeout_graceful_shutdown": timeouts.WORKER_SHUTDOWN,
        # Channels' router raises on lifespan, and Django has no use for it.
        "lifespan": "off",
        "server_header": False,
        "ws_max_size": 64 * 1024,
        "ws": WebSocket,
        # Each socket would keep a zlib window of some 300 KB for messages of a few hundred bytes.
        "ws_per_message_deflate": False,
        "ws_ping_interval": timeouts.LIVE_HEARTBEAT,
    }

    async def _serve(self):
        # As in UvicornWorker, but for the class of the server.
        self.config.app = self.wsgi
        server = StoppingServer(config=self.config)
        self._install_sigquit_handler()
        self.wsgi.start()
        watching = asyncio.create_task(self._stop_when_reloaded(server)) if self.cfg.reload else None
        await server.serve(sockets=self.sockets)
        if watching:
            watching.cancel()
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def _stop_when_reloaded(self, server):
        # Gunicorn's reloader, in a thread of its own, only lowers this flag, and Uvicorn never looks at it.
        while self.alive:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        server.should_exit = True
