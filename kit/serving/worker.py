import asyncio
import gc
import math
import signal
import sys
import time
from collections import deque
from functools import lru_cache
from http import HTTPStatus

from django.conf import settings
from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker
from websockets.exceptions import ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from kit import request_ids

from . import asgi, limits, proxies, timeouts
from .succession import Successive

# New objects, less those that are gone, after which the garbage collector looks for circles. Python's 2,000 come
# together in each look of kit.live at thousands of readers, and the collector took more time than the look.
GARBAGE_LOOKED_FOR_AFTER = 50_000


def stop_jobs():
    from kit import jobs

    jobs.stop()


class StoppingServer(Server):
    def __init__(self, worker):
        super().__init__(worker.config)
        self.worker = worker

    async def on_tick(self, counter):
        leaves = self.worker.tick(self.server_state.total_requests)
        return await super().on_tick(counter) or leaves

    async def shutdown(self, sockets=None):
        # No new connections: a page that is sent away is to come back to another process.
        for server in self.servers:
            server.close()
        jobs_end = asyncio.to_thread(stop_jobs) if settings.JOBS_HERE else asyncio.sleep(0)
        jobs_end = asyncio.create_task(jobs_end)
        if not self.force_exit:
            await asgi.stop()
        await super().shutdown(sockets)
        if not self.force_exit:
            # Here, because Uvicorn ends the process by the signal again, before Gunicorn's worker_exit.
            await jobs_end

    def quit(self):
        self.should_exit = self.force_exit = True


class Http(HttpToolsProtocol):
    """Uvicorn's protocol, which would wait forever for clients that stop reading their response, with limits for that
    and for what precedes the body. Event streams have no end of their own."""

    cutting_off = None
    refused = HTTPStatus.BAD_REQUEST
    # Bytes read since the parser last began a request or found some of a body: of a header, of what follows a body, or
    # between its chunks.
    fed = 0
    url = b""
    stopping = False

    def data_received(self, data):
        self.fed += len(data)
        super().data_received(data)
        if self.fed > limits.HEADER and not self.transport.is_closing():
            long_line = len(self.url) > limits.REQUEST_LINE
            self.refused = HTTPStatus.URI_TOO_LONG if long_line else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("")

    def on_message_begin(self):
        super().on_message_begin()
        self.fed = 0

    def on_headers_complete(self):
        version, names = self.parser.get_http_version(), [name for name, _ in self.headers]
        hosts = names.count(b"host")
        if (
            version not in ("1.0", "1.1")
            or hosts > 1
            or (version == "1.1" and not hosts)
            or (version == "1.0" and b"transfer-encoding" in names)
        ):
            # The parser calls this, and for any exception Uvicorn calls send_400_response.
            raise ValueError
        if refused := self.exceeded():
            self.refused = refused
            raise ValueError
        super().on_headers_complete()
        if self.stopping and self.cycle:
            self.cycle.keep_alive = False

    def handle_websocket_upgrade(self):
        if self.stopping:
            self.transport.close()
        else:
            super().handle_websocket_upgrade()

    def shutdown(self):
        # A request may be on its way, and would be lost: as Gunicorn's threads do, answer it and close then.
        self.stopping = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(STOP_KEEPALIVE_LINGER, self.end)
        else:
            super().shutdown()

    def end(self):
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def exceeded(self):
        if len(self.parser.get_method()) + len(self.url) + len("  HTTP/1.1") > limits.REQUEST_LINE:
            return HTTPStatus.URI_TOO_LONG
        lengths = [len(name) + len(value) + len(": ") for name, value in self.headers]
        if len(lengths) > limits.FIELDS or max(lengths, default=0) > limits.FIELD:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if len(self.url) + sum(lengths) + 2 * len(lengths) > limits.HEADER:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return None

    def on_body(self, body):
        self.fed = 0
        super().on_body(body)

    def send_400_response(self, msg):
        body = self.refused.phrase
        self.transport.write(
            f"HTTP/1.1 {self.refused} {body}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
        )
        self.transport.close()

    def pause_writing(self):
        super().pause_writing()
        self.cutting_off = self.loop.call_later(timeouts.CLIENT_TAKES, self.transport.abort)

    def resume_writing(self):
        self.cutting_off.cancel()
        super().resume_writing()

    def connection_lost(self, exc):
        if self.cutting_off:
            self.cutting_off.cancel()
        super().connection_lost(exc)


class Frames(ServerProtocol):
    """The frames of one client, counted before they cost more than to be read: Uvicorn answers each ping, and handles
    all that one read brings, before any other connection has its turn."""

    # Pings, their answers, and the fragments of a message: one of 64 KiB may come in pieces of 164 bytes.
    FRAMES_PER_MESSAGE = 20

    def __init__(self, **options):
        super().__init__(**options)
        messages, self.seconds = settings.WEBSOCKET_RATE
        self.messages = deque(maxlen=messages)
        self.share = self.seconds / (messages * self.FRAMES_PER_MESSAGE)
        self.used_until = 0

    def recv_frame(self, frame):
        now = time.monotonic()
        self.used_until = max(self.used_until, now) + self.share
        exceeded = self.used_until - now > self.seconds
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            exceeded |= len(self.messages) == self.messages.maxlen and now - self.messages[0] < self.seconds
            self.messages.append(now)
        if exceeded:
            self.fail(CloseCode.POLICY_VIOLATION, "too many messages or frames")
            raise ProtocolError
        super().recv_frame(frame)


@lru_cache(maxsize=1)
def frame_of(text: str) -> bytes:
    """As a server sends it. The same text usually goes to many connections in a row."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


class WebSocket(WebSocketsSansIOProtocol):
    """Uvicorn's own, that closes the connection of a client that sends too much, and lets go of clients that do not
    read. What closes a connection waits there until everything before it was taken, and who takes nothing could hold a
    connection, and all that is to be sent, for ever.

    And that spares pings: with their answers they cost more than all else that an idle page does. A connection that was
    sent something since the last one is not silent, and needs them only to tell whether its client is still there."""

    # In a row: a client that is gone is noticed within two minutes.
    PINGS_SPARED = 5

    cutting_off = None
    was_sent_something = False
    spared = 0

    def __init__(self, config, *arguments, **options):
        super().__init__(config, *arguments, **options)
        self.conn = Frames(max_size=config.ws_max_size, logger=self.logger)

    def handle_parser_exception(self):
        # What came before it, in the same read.
        self.handle_events()
        if self.conn.close_sent:
            super().handle_parser_exception()
            self.cut_off_later()
        else:
            # The handshake is not answered yet: there is nothing to close.
            self.transport.abort()

    async def run_asgi(self):
        extensions = self.scope["extensions"]
        extensions[request_ids.AT_ONCE] = {"send": self.send, "text": self.send_at_once}
        await super().run_asgi()
        # Otherwise the two keep each other in memory.
        del extensions[request_ids.AT_ONCE]

    def send_at_once(self, text):
        """Send `text` if the connection is open and everything before it has left. Returns whether it did."""
        transport = self.transport
        if self.conn.state is not State.OPEN or transport.is_closing() or transport.get_write_buffer_size():
            return False
        self.was_sent_something = True
        transport.write(frame_of(text))
        return True

    async def send(self, message):
        if message["type"] == "websocket.close":
            self.cut_off_later()
        elif message["type"] == "websocket.send":
            self.was_sent_something = True
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            # Uvicorn takes a handshake that is refused with an answer for one that was never completed, and logs an
            # error beside the line that names the refusal.
            self.handshake_complete = True

    def schedule_ping(self):
        # At moments that many share, or each would wake the worker.
        step = self.ping_interval / 100
        when = math.ceil((self.loop.time() + self.ping_interval) / step) * step
        self.ping_timer = self.loop.call_at(when, self.send_keepalive_ping)

    def send_keepalive_ping(self):
        spare = self.was_sent_something and self.spared < self.PINGS_SPARED
        self.was_sent_something, self.spared = False, self.spared + 1 if spare else 0
        if spare:
            self.schedule_ping()
        else:
            super().send_keepalive_ping()

    def keepalive_timeout(self):
        super().keepalive_timeout()
        self.cut_off_later()

    def cut_off_later(self):
        self.cutting_off = self.cutting_off or self.loop.call_later(timeouts.LIVE_CLOSE, self.transport.abort)

    def connection_lost(self, exc):
        if self.cutting_off:
            self.cutting_off.cancel()
        super().connection_lost(exc)


class Worker(Successive, UvicornWorker):
    """UvicornWorker that stops within Gunicorn's limit. Uvicorn's ignores Gunicorn's graceful_timeout, so one slow
    request would hold the old worker until Gunicorn kills it."""

    CONFIG_KWARGS = {
        **UvicornWorker.CONFIG_KWARGS,
        "timeout_graceful_shutdown": timeouts.WORKER_SHUTDOWN,
        # An application that does not know it is served all the same.
        "lifespan": "auto",
        "server_header": False,
        # How many requests a worker serves is Successive's.
        "limit_max_requests": None,
        "http": Http,
        "ws_max_size": settings.WEBSOCKET_SIZE,
        "ws": WebSocket,
        # Each socket would keep a zlib window of some 300 KB for messages of a few hundred bytes.
        "ws_per_message_deflate": False,
        "ws_ping_interval": timeouts.LIVE_HEARTBEAT,
        # A client that does not answer one by the next is gone.
        "ws_ping_timeout": timeouts.LIVE_HEARTBEAT,
    }

    async def _serve(self):
        # As in UvicornWorker, except for the wrapped application and the server's class.
        server = StoppingServer(self)
        gc.set_threshold(GARBAGE_LOOKED_FOR_AFTER, *gc.get_threshold()[1:])
        try:
            self.config.app = asgi.start(self.wsgi)
            self.config.load()
            application = proxies.first_scheme(self.config.loaded_app)
            self.config.loaded_app = request_ids.asgi(application, settings.FORWARDED_ALLOW_IPS)
            # Gunicorn's way to say at once. UvicornWorker's own handler only lowers a flag that Uvicorn never looks at.
            asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.quit)
            await server.serve(sockets=self.sockets)
        except Exception:
            if server.started:
                raise
            self.log.exception("This worker can't start.")
        if not server.started:
            # Gunicorn stops then. A worker that ends otherwise it replaces, again and again.
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
