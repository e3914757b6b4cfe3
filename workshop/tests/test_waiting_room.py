"""docker/wait.py, between a client and a server of these tests: only where it finds the server is theirs to say."""

import asyncio
import runpy
import socket
import struct
from contextlib import suppress

import pytest

from .servers import ROOT


@pytest.fixture
def room():
    return runpy.run_path(str(ROOT / "docker" / "wait.py"))["waiting_for"]


async def read_form(reader, writer):
    """Like any server, answers when it has the whole form, with the length that it has got."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    form = await reader.readexactly(length)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d" % (len(str(len(form))), len(form)))
    await writer.drain()
    writer.close()


async def change_protocols(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    while word := await reader.read(100):
        writer.write(word.upper())
    writer.close()


@pytest.fixture
async def enter(room, monkeypatch):
    """Start the room, and behind it a server that is back after a while; a connection to the room."""
    running = []

    async def start(handle, seconds=0.3, wait=10):
        back = asyncio.create_task(asyncio.sleep(seconds))

        async def connect(service):
            assert service == "web"
            await asyncio.shield(back)
            return *await asyncio.open_connection(*server.sockets[0].getsockname()), True

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        monkeypatch.setitem(room.__globals__, "connect", connect)
        monkeypatch.setitem(room.__globals__, "WAIT", wait)
        waiting = await asyncio.start_server(room("web"), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*waiting.sockets[0].getsockname())
        running.extend((writer, waiting, server, back))
        return reader, writer

    yield start
    writer, waiting, server, back = running
    back.cancel()
    for side in (writer, waiting, server):
        side.close()
    with suppress(TimeoutError):
        # Longer only where something hangs, which has failed the test already.
        async with asyncio.timeout(2):
            await asyncio.gather(writer.wait_closed(), waiting.wait_closed(), server.wait_closed())


@pytest.mark.parametrize("length", [0, 10, 65_536, 1_000_000])
async def test_a_form_is_passed_on_whole_and_its_answer_comes_back(enter, length):
    reader, writer = await enter(read_form)
    writer.write(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % length + b"x" * length)
    async with asyncio.timeout(5):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
    assert answer.endswith(b"\r\n\r\n%d" % length)


async def test_who_has_got_a_websocket_keeps_it(enter):
    reader, writer = await enter(change_protocols)
    writer.write(b"GET /live/notes/ws HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
        for word in (b"one", b"two"):
            writer.write(word)
            assert await reader.readexactly(3) == word.upper()


async def test_whose_server_does_not_come_back_gets_no_answer(enter):
    reader, writer = await enter(read_form, seconds=5, wait=0.2)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(2):
        assert await reader.read() == b""


@pytest.fixture
async def find(room, monkeypatch):
    """Ask, through the room, a server that is there and answers with this: how often it was asked, and the answer."""
    running = []

    async def start(handle):
        asked = []

        async def count(reader, writer):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            await handle(len(asked), writer)

        async def connect(service):
            return *await asyncio.open_connection(*server.sockets[0].getsockname()), False

        server = await asyncio.start_server(count, "127.0.0.1", 0)
        monkeypatch.setitem(room.__globals__, "connect", connect)
        waiting = await asyncio.start_server(room("web"), "127.0.0.1", 0)
        running.extend((waiting, server))

        async def ask(request):
            reader, writer = await asyncio.open_connection(*waiting.sockets[0].getsockname())
            writer.write(request)
            async with asyncio.timeout(5):
                answer = await reader.read()
            writer.close()
            return answer

        return asked, ask

    yield start
    for each in running:
        each.close()


def break_off(writer):
    """As the kernel does for a process that dies and has not read all: the other side is told at once."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def dies_after_it_has_read(_number, writer):
    writer.close()


async def dies_before_it_has_read(number, writer):
    if number == 1:
        break_off(writer)
    else:
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()


READ, FORM = b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"


@pytest.mark.parametrize("request_", [READ, FORM], ids=["read", "form"])
async def test_what_a_server_has_read_and_left_unanswered_is_not_asked_again(find, request_):
    asked, ask = await find(dies_after_it_has_read)
    assert await ask(request_) == b""
    assert len(asked) == 1


@pytest.mark.parametrize(("request_", "times"), [(READ, 2), (FORM, 1)], ids=["read", "form"])
async def test_a_read_that_a_server_has_not_begun_is_asked_again_and_no_form(find, request_, times):
    asked, ask = await find(dies_before_it_has_read)
    assert (b" 204 " in await ask(request_)) == (times == 2)
    assert len(asked) == times


async def test_what_was_lost_with_a_worker_is_asked_one_by_one(find):
    under_way = most = 0

    async def answer_slowly(_number, writer):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    asked, ask = await find(answer_slowly)
    answers = await asyncio.gather(*(ask(READ) for _ in range(4)))
    assert [b" 204 " in answer for answer in answers] == [True] * 4
    assert (len(asked), most) == (4, 1)


async def test_a_slow_one_does_not_hold_the_others_up_for_long(find):
    async def answer_late(number, writer):
        await asyncio.sleep(2 if number == 1 else 0)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    _, ask = await find(answer_late)
    slow = asyncio.create_task(ask(READ))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(1):
        assert b" 204 " in await ask(READ)
    assert b" 204 " in await slow
