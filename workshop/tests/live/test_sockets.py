"""Clients of a WebSocket that do not behave: most through Uvicorn as the worker sets it up, in this process."""

import asyncio
import json
import logging
import socket as sockets_of_the_system
from contextlib import asynccontextmanager
from functools import wraps

import pytest
from uvicorn import Config, Server
from uvicorn.protocols.utils import ClientDisconnected
from websockets.asyncio.client import connect

from kit import request_ids
from kit.live import audience, sockets
from kit.live import hub as hubs
from kit.serving import timeouts
from kit.serving.asgi import get_asgi_application
from kit.serving.worker import WebSocket, Worker
from workshop.bench.sockets import TEXT, frames

from .conftest import follow, listening, save, soon, until

HANDSHAKE = (
    b"GET /live/notes/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# More than the system takes for a client that does not read, and Uvicorn before it makes `send` wait.
MUCH = "x" * 1_000_000
# The frame that says 1013, and nothing else.
CLOSED_1013 = b"\x88\x02\x03\xf5"


@pytest.fixture
def application(request):
    """The project's, and what a test puts around it."""
    return getattr(request, "param", lambda inner: inner)(get_asgi_application())


@pytest.fixture
async def server(process, application):
    await listening(process)
    listener = sockets_of_the_system.create_server(("127.0.0.1", 0))
    # What it accepts has the same: the system would take megabytes.
    listener.setsockopt(sockets_of_the_system.SOL_SOCKET, sockets_of_the_system.SO_SNDBUF, 4096)
    server = Server(Config(application, log_config=None, **Worker.CONFIG_KWARGS))
    server.port = listener.getsockname()[1]
    serving = asyncio.create_task(server.serve([listener]))
    await until(lambda: server.started)
    yield server
    server.should_exit = True
    await soon(serving, 5)


@asynccontextmanager
async def reader(server):
    """Reads everything, as fast as it comes."""
    async with connect(f"ws://127.0.0.1:{server.port}/live/notes/ws", max_size=None) as connection:
        await connection.recv()
        yield connection


@asynccontextmanager
async def sleeper(server):
    """A client that reads no more after its first message."""
    loop = asyncio.get_running_loop()
    with sockets_of_the_system.socket() as connection:
        connection.setblocking(False)
        connection.setsockopt(sockets_of_the_system.SOL_SOCKET, sockets_of_the_system.SO_RCVBUF, 4096)
        await loop.sock_connect(connection, ("127.0.0.1", server.port))
        await loop.sock_sendall(connection, HANDSHAKE)
        while b'"cursor"' not in await loop.sock_recv(connection, 1000):
            pass
        yield connection


async def hears(connection, key):
    assert [change["id"] for change in json.loads(await soon(connection.recv(), 1))["changes"]] == [key]


async def read_to_the_end(connection):
    received = b""
    while not received.endswith(CLOSED_1013):
        piece = await soon(asyncio.get_running_loop().sock_recv(connection, 1_000_000))
        if not piece:
            break
        received += piece
    return received


async def test_a_client_that_does_not_read_delays_nobody_and_is_closed_with_1013(process, notes, server, monkeypatch):
    monkeypatch.setattr(sockets, "SEND_TIMEOUT", 1)
    monkeypatch.setattr(hubs, "LOOK_EVERY", 60)
    async with reader(server) as other, sleeper(server) as slow:
        assert len(audience._process().connections) == 2
        await save(notes, "1", MUCH)
        await hears(other, "1")
        for key in ("2", "3", "4"):
            await save(notes, key)
            await hears(other, key)
        # All of that came while the server was still trying.
        assert len(audience._process().connections) == 2
        await until(lambda: len(audience._process().connections) == 1)
        assert (await read_to_the_end(slow)).endswith(CLOSED_1013)
        await save(notes, "5")
        await hears(other, "5")


async def test_a_slow_client_gets_what_it_missed_in_one_message(process, notes, server, monkeypatch):
    monkeypatch.setattr(hubs, "LOOK_EVERY", 60)
    async with reader(server) as other, sleeper(server) as slow:
        for key, text in (("1", MUCH), ("2", "it waits for"), ("3", "and then"), ("4", "misses")):
            await save(notes, key, text)
            await hears(other, key)
        buffer, heard = bytearray(), []
        while len(heard) < 3:
            buffer += await soon(asyncio.get_running_loop().sock_recv(slow, 1_000_000))
            heard += [json.loads(payload)["changes"] for opcode, payload in frames(buffer) if opcode == TEXT]
        assert [[change["id"] for change in changes] for changes in heard] == [["1"], ["2"], ["3", "4"]]


def with_ids(application):
    return request_ids.asgi(application, None)


def traced(application):
    """As by a tracer, which is to see every message."""

    async def around(scope, receive, send):
        @wraps(send)
        async def seen(message):
            await send(message)

        await application(scope, receive, seen)

    return with_ids(around)


@pytest.mark.parametrize(
    ("application", "through_send"), [(lambda inner: inner, 0), (with_ids, 0), (traced, 6)], indirect=["application"]
)
async def test_a_change_is_sent_without_a_task_unless_somebody_listens(
    through_send, process, notes, server, monkeypatch
):
    monkeypatch.setattr(hubs, "LOOK_EVERY", 60)
    sent, send = [], WebSocket.send

    async def counted(self, message):
        sent.append(message["type"])
        await send(self, message)

    monkeypatch.setattr(WebSocket, "send", counted)
    async with reader(server) as one, reader(server) as other:
        sent.clear()
        for key, text in (("1", "한 줄"), ("2", "x" * 200), ("3", "é" * 70_000)):
            await save(notes, key, text)
            for connection in (one, other):
                assert text in json.loads(await soon(connection.recv()))["changes"][0]["html"]
        assert sent == ["websocket.send"] * through_send


async def test_a_client_that_never_reads_again_holds_no_connection(process, notes, server, monkeypatch):
    monkeypatch.setattr(sockets, "SEND_TIMEOUT", 0.3)
    monkeypatch.setattr(timeouts, "LIVE_CLOSE", 0.3)
    async with sleeper(server):
        await save(notes, "1", MUCH)
        await asyncio.sleep(0.1)
        await save(notes, "2")
        await until(lambda: not server.server_state.connections and not server.server_state.tasks)
    assert not process.hubs


async def test_500_sockets_that_close_at_once_raise_nothing_and_leave_no_readers(process, notes, monkeypatch, caplog):
    monkeypatch.setattr(hubs, "LOOK_EVERY", 60)
    await listening(process)
    others, closed = asyncio.all_tasks(), asyncio.Event()
    heard = []

    async def page():
        connected = False

        async def receive():
            nonlocal connected
            if connected:
                await closed.wait()
                return {"type": "websocket.disconnect", "code": 1001}
            connected = True
            return {"type": "websocket.connect"}

        async def send(message):
            await asyncio.sleep(0)
            if closed.is_set():
                raise ClientDisconnected
            if message["type"] == "websocket.send":
                heard.append(message["text"])
            if len(heard) == 750:
                # In the middle of the change.
                closed.set()

        scope = {"headers": [], "query_string": b"", "url_route": {"kwargs": {"topic": "notes"}}}
        await sockets.socket(scope, receive, send)

    pages = [asyncio.create_task(page()) for _ in range(500)]
    await until(lambda: len(heard) == 500)
    assert len(audience._process().connections) == 500
    tasks = asyncio.all_tasks() - others
    await save(notes, "1")
    await soon(asyncio.gather(*pages))
    await until(lambda: not process.hubs and asyncio.all_tasks() == others)
    assert [task.exception() for task in tasks if not task.cancelled() and task.exception()] == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    with follow() as reader:
        await soon(reader.next())
        await save(notes, "2")
        await soon(reader.next(), 1)
