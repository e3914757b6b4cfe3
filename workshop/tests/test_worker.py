"""Clients that hold a connection and do nothing with it, where no Nginx is in front: Uvicorn as the worker has it."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from uvicorn import Config, Server

from kit.serving import timeouts
from kit.serving.worker import Worker

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(timeouts, "CLIENT_TAKES", 0.3)
    monkeypatch.setattr(timeouts, "LIVE_CLOSE", 0.1)
    waits = {"ws_ping_interval": 0.2, "ws_ping_timeout": 0.2}
    assert waits.keys() <= Worker.CONFIG_KWARGS.keys()
    monkeypatch.setattr(Worker, "CONFIG_KWARGS", {**Worker.CONFIG_KWARGS, **waits})


async def until(condition):
    async with asyncio.timeout(3):
        while not condition():  # noqa: ASYNC110  (what is waited for tells nobody)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(application):
    listener = socket.create_server(("127.0.0.1", 0))
    # What it accepts has the same: the system would take megabytes.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    server = Server(Config(application, log_config=None, **Worker.CONFIG_KWARGS))
    server.address = listener.getsockname()
    task = asyncio.create_task(server.serve([listener]))
    await until(lambda: server.started)
    yield server
    server.should_exit = True
    await asyncio.wait_for(task, 5)


@asynccontextmanager
async def client(server, request):
    """A connection that has sent `request`, and takes in little that is not read."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(connection, server.address)
        await loop.sock_sendall(connection, request + b"\r\n")
        yield connection


async def stream(scope, receive, send):
    """Sends without end, until the client is gone."""
    await receive()
    gone = asyncio.create_task(receive())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while not gone.done():
        await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
        await asyncio.sleep(0)


async def test_a_client_that_never_reads_holds_no_connection(impatient):
    async with serving(stream) as server, client(server, GET):
        await until(lambda: server.server_state.tasks)
        await until(lambda: not server.server_state.connections and not server.server_state.tasks)


async def test_who_reads_is_served_for_as_long_as_it_takes(impatient):
    loop = asyncio.get_running_loop()
    async with serving(stream) as server, client(server, GET) as connection:
        until_then = loop.time() + 3 * timeouts.CLIENT_TAKES
        while loop.time() < until_then:
            assert await loop.sock_recv(connection, 100_000)


async def test_a_websocket_that_answers_no_ping_is_closed(impatient):
    ended = asyncio.Event()

    async def accept(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        ended.set()

    async with serving(accept) as server, client(server, GET + UPGRADE):
        await asyncio.wait_for(ended.wait(), 3)
        await until(lambda: not server.server_state.connections)


async def test_a_websocket_that_is_sent_messages_is_pinged_less_often(impatient):
    async def tick(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await asyncio.sleep(0.05)
            await send({"type": "websocket.send", "text": "."})

    async with serving(tick) as server, client(server, GET + UPGRADE) as connection:
        answer = bytearray()
        # Not all that is read is whole frames, but the two kinds of them are all that comes.
        while b"\x89\x04" not in answer:
            answer += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(connection, 1000), 3)
    # It would be after 0.2 seconds, and is after 1.2.
    assert answer.partition(b"\x89\x04")[0].count(b"\x81\x01.") > 12
