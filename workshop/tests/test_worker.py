"""Clients that hold a connection and do nothing with it, or too much, where no Nginx is in front: Uvicorn as the worker
has it."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

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


# A frame of each kind without content, as a client masks it. The first fragment of a message comes before the others.
FRAMES = {
    "pings": (b"", b"\x89\x80\0\0\0\0"),
    "pongs": (b"", b"\x8a\x80\0\0\0\0"),
    "empty fragments": (b"\x01\x80\0\0\0\0", b"\x00\x80\0\0\0\0"),
    "messages": (b"", b"\x81\x80\0\0\0\0"),
}
CLOSED_1008 = b"\x88\x1d\x03\xf0too many messages or frames"


async def everything(connection):
    received = bytearray()
    with suppress(ConnectionError):
        while data := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(connection, 100_000), 3):
            received += data
    return bytes(received)


def listener():
    """An application that accepts, and what it is told after that."""
    told = []

    async def listen(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while not told or told[-1]["type"] != "websocket.disconnect":
            told.append(await receive())

    return listen, told


@pytest.mark.parametrize(("first", "flood"), FRAMES.values(), ids=FRAMES)
async def test_a_websocket_that_sends_too_many_frames_is_closed_within_one_read(first, flood):
    listen, told = listener()
    async with serving(listen) as server, client(server, GET + UPGRADE) as connection:
        await asyncio.get_running_loop().sock_recv(connection, 1000)
        # All in one read, and a whole one: what is left unread resets the connection, and the answer may be lost.
        await asyncio.get_running_loop().sock_sendall(connection, first + flood * 1000)
        received = await everything(connection)
        await until(lambda: not server.server_state.connections)
    assert received.endswith(CLOSED_1008)
    # Each 25 ms allow one more.
    assert received.count(b"\x8a\x00") < 600
    assert [each["type"] for each in told[:-1]] == ["websocket.receive"] * (20 if flood[0] == 0x81 else 0)
    assert told[-1]["code"] == 1008


async def test_a_long_message_in_small_fragments_with_pings_in_between_is_taken():
    listen, told = listener()
    fragment = b"\x00\xfe\x00\xff\0\0\0\0" + b"x" * 255
    ping = FRAMES["pings"][1]
    message = b"\x01\x80\0\0\0\0" + (fragment * 16 + ping) * 16 + b"\x80\x80\0\0\0\0"
    async with serving(listen) as server, client(server, GET + UPGRADE) as connection:
        await asyncio.get_running_loop().sock_recv(connection, 1000)
        await asyncio.get_running_loop().sock_sendall(connection, message)
        await until(lambda: told)
    assert told[0] == {"type": "websocket.receive", "text": "x" * 255 * 256}


@pytest.mark.parametrize("sent", [FRAMES["pings"][1] * 1000, b"\xff\xff"], ids=["too much", "no frame"])
async def test_a_client_that_breaks_the_rules_before_it_is_let_in_is_cut_off(sent, caplog):
    async def wait(scope, receive, send):
        assert scope["type"] == "websocket"
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async with serving(wait) as server, client(server, GET + UPGRADE) as connection:
        await until(lambda: server.server_state.tasks)
        await asyncio.get_running_loop().sock_sendall(connection, sent)
        await until(lambda: not server.server_state.connections and not server.server_state.tasks)
    assert not [record for record in caplog.records if record.exc_info]
