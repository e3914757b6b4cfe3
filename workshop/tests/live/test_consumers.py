"""WebSockets of one's own: consumers that know nothing of what the kit puts around them."""

import asyncio
import json
import os
import signal
import socket as sockets_of_the_system
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import httpx
import pytest
from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import path
from uvicorn import Config, Server
from websockets.asyncio.client import connect as connect_here
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from kit.live import consumers, sockets
from kit.serving import timeouts
from kit.serving.worker import Worker
from workshop.tests.followers import CUT_OFF_WITHIN, cookie, step
from workshop.tests.servers import serve

from .conftest import soon, until

pushing = pytest.mark.modes("asgi")
polling = pytest.mark.modes("wsgi")
PATH = "/live/probe/own/7"
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket"}


def opened(server, path=PATH, **options):
    return connect(server.url.replace("http", "ws", 1) + path, **options)


def heard(socket, seconds=5):
    return json.loads(socket.recv(timeout=seconds))


def told(socket, what):
    socket.send(json.dumps(what))
    return heard(socket)


def close_code(socket, seconds=5):
    try:
        while True:
            socket.recv(timeout=seconds)
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code


def refused(server, path=PATH, **options):
    with pytest.raises(InvalidStatus) as refusal:
        opened(server, path, **options)
    return refusal.value.response


def logged(server, text, times=1):
    """How often `text` is in the log, once it is there so often."""
    end = time.monotonic() + 5
    while (count := server.log.read_text().count(text)) < times and time.monotonic() < end:
        time.sleep(0.05)
    return count


@pushing
def test_a_consumer_knows_its_visitor_and_what_the_address_says(server):
    with server.poster() as member, opened(server, additional_headers={"Cookie": cookie(member)}) as socket:
        assert heard(socket) == {"number": 7, "user": member.name, "language": "en"}


@pushing
@pytest.mark.parametrize("headers", [{}, {"Cookie": "sessionid=forged"}, {"Cookie": 'sessionid="\\000"'}])
def test_a_visitor_without_a_session_is_anonymous(server, headers):
    with opened(server, additional_headers=headers) as socket:
        assert heard(socket)["user"] == ""


@pushing
def test_a_consumer_speaks_the_language_of_its_visitor_also_on_a_thread(server):
    with opened(server, additional_headers={"Accept-Language": "ko"}) as socket:
        assert heard(socket)["language"] == "ko"
        assert told(socket, "query")[0] == "ko"


@pushing
def test_a_consumer_is_closed_with_4403_when_its_session_ends(server):
    with ExitStack() as stack:
        anonymous, member, *leaving = [stack.enter_context(server.poster()) for _ in range(6)]
        sockets = {
            each: stack.enter_context(opened(server, additional_headers={"Cookie": cookie(each)}))
            for each in (member, *leaving)
        }
        sockets[anonymous] = stack.enter_context(opened(server))
        for leaver, what in zip(leaving, ["sign-out", "deactivate", "change-password", "expire"], strict=True):
            step(leaver, what)
        end = time.monotonic() + CUT_OFF_WITHIN
        assert [close_code(sockets[leaver], end - time.monotonic()) for leaver in leaving] == [4403] * 4
        for each in (anonymous, member):
            heard(sockets[each])
            assert told(sockets[each], "query")
    assert logged(server, "disconnected with 4403.", times=4) == 4


@pushing
def test_a_foreign_page_is_refused_and_named_in_the_log(server):
    assert refused(server, origin="https://own.evil.example").status_code == 403
    assert logged(server, "'https://own.evil.example'") == 1


@pushing
def test_a_page_of_this_site_may_connect(server):
    with opened(server, origin=server.url.replace("127.0.0.1", "localhost")) as socket:
        assert heard(socket)["number"] == 7


@pushing
def test_an_address_of_no_consumer_is_answered_404(server):
    assert refused(server, "/live/probe/own/seven").status_code == 404


@pushing
def test_too_many_messages_close_it(server):
    with opened(server) as socket:
        with suppress(ConnectionClosed):
            for _ in range(30):
                socket.send('"count_tasks"')
        assert close_code(socket) == 1008
    assert logged(server, "disconnected with 1008.")


@pushing
def test_a_message_that_is_too_long_closes_it(server):
    with opened(server) as socket:
        socket.send("x" * (64 * 1024 + 1))
        assert close_code(socket) == 1009
    assert logged(server, "disconnected with 1009.")


@pushing
def test_a_consumer_that_fails_is_closed_with_1011_and_one_traceback(server):
    before = server.log.read_text().count("Traceback")
    with opened(server) as socket:
        socket.send('"fail"')
        assert close_code(socket) == 1011
    assert logged(server, f"The consumer of {PATH} failed.") == 1
    assert server.log.read_text().count("Traceback") == before + 1


@pushing
def test_a_consumer_that_fails_before_it_accepts_is_answered_500(server):
    assert refused(server, "/live/probe/own/0").status_code == 500
    assert logged(server, "The consumer of /live/probe/own/0 failed.") == 1


@pushing
def test_nothing_is_left_of_consumers_that_have_ended(server):
    with opened(server) as one:
        heard(one)
        before = told(one, "count_tasks")
        with ExitStack() as stack:
            for _ in range(20):
                heard(stack.enter_context(opened(server)))
            assert told(one, "count_tasks") >= before + 20
        end = time.monotonic() + 3
        while (left := told(one, "count_tasks")) > before and time.monotonic() < end:
            time.sleep(0.5)
        assert left == before


@pushing
def test_the_database_work_of_many_consumers_is_on_the_threads_of_the_server(server):
    with ExitStack() as stack:
        sockets = [stack.enter_context(opened(server)) for _ in range(30)]
        for socket in sockets:
            heard(socket)
        begin = time.monotonic()
        with ThreadPoolExecutor(30) as pool:
            threads = {thread for _, thread in pool.map(lambda socket: told(socket, "query"), sockets)}
        # Eight in asgi mode. On one it would take three seconds.
        assert 1 < len(threads) <= 8
        assert time.monotonic() - begin < 2


@pushing
def test_a_release_sends_consumers_away_also_a_busy_one(tmp_path, server):
    with serve("asgi", tmp_path, DJANGO_SETTINGS_MODULE="workshop.probe.settings") as stopping:
        with opened(stopping) as idle, opened(stopping) as busy:
            heard(idle)
            busy.send('"be_busy"')
            begin = time.monotonic()
            os.kill(stopping.pid, signal.SIGTERM)
            assert close_code(idle) == close_code(busy) == 1012
            assert time.monotonic() - begin < 1.5
        assert logged(stopping, "disconnected with 1012.", times=2) == 2
    assert "Traceback" not in stopping.log.read_text()


@pushing
def test_a_refused_handshake_is_no_error_of_the_server(server):
    refused(server, origin="https://evil.example")
    refused(server, "/live/probe/own/0")
    refused(server, "/live/probe/own/seven")
    assert "without completing handshake" not in server.log.read_text()


@polling
def test_without_an_event_loop_it_is_answered_426_with_what_to_do(server):
    response = httpx.get(server.url + PATH, headers=UPGRADE)
    assert response.status_code == 426
    assert "make up-asgi" in response.text


@pushing
def test_a_plain_request_is_answered_426(server):
    response = httpx.get(server.url + PATH)
    assert response.status_code == 426
    assert "Upgrade: websocket" in response.text


@pytest.mark.parametrize("path", ["/live/probe/own/seven", "/live/nothing", "/live/probe/own/7/more"])
def test_a_plain_request_to_no_consumer_is_answered_404(server, path):
    assert httpx.get(server.url + path).status_code == 404


# What takes long with the limits of a server: in this process, through Uvicorn as the worker sets it up.


class Consumer(AsyncWebsocketConsumer):
    codes: list[int]

    async def receive(self, text_data=None, bytes_data=None):
        match text_data:
            case "talk for a second":
                for _ in range(4):
                    await asyncio.sleep(0.25)
                    await self.send("…")
            case "talk without end":
                while True:
                    await self.send("…")
                    await asyncio.sleep(0.01)
            case "much":
                # More than the system takes for a client that does not read, and Uvicorn before it makes `send` wait.
                await self.send("x" * 1_000_000)

    async def disconnect(self, code):
        self.codes.append(code)


@pytest.fixture
async def nearby(monkeypatch):
    """A server with one consumer, and the codes with which that was disconnected."""
    monkeypatch.setattr(Consumer, "codes", [], raising=False)
    monkeypatch.setattr(timeouts, "LIVE_CLOSE", 0.3)
    (route,) = consumers.routes()
    listener = sockets_of_the_system.create_server(("127.0.0.1", 0))
    # What it accepts has the same: the system would take megabytes.
    listener.setsockopt(sockets_of_the_system.SOL_SOCKET, sockets_of_the_system.SO_SNDBUF, 4096)
    server = Server(Config(route.callback, log_config=None, **Worker.CONFIG_KWARGS))
    server.address, server.codes = listener.getsockname(), Consumer.codes
    server.url = f"ws://127.0.0.1:{server.address[1]}"
    serving = asyncio.create_task(server.serve([listener]))
    await until(lambda: server.started)
    yield server
    server.should_exit = True
    await soon(serving, 5)


websocket_urlpatterns = [path("live/nearby", Consumer.as_asgi())]
nearby_alone = pytest.mark.urls(__name__)


@nearby_alone
@pytest.mark.parametrize(("said", "times"), [("say nothing", 4), ("talk for a second", 1)])
async def test_a_connection_on_which_neither_side_says_anything_is_closed_with_1001(settings, nearby, said, times):
    settings.WEBSOCKET_IDLE = 0.5
    begin = time.monotonic()
    async with connect_here(nearby.url) as socket:
        for _ in range(times):
            await socket.send(said)
            await asyncio.sleep(0.25)
        await soon(socket.wait_closed())
        assert socket.close_code == 1001
    assert 1.2 < time.monotonic() - begin < 2
    await until(lambda: nearby.codes == [1001])


@nearby_alone
@pytest.mark.parametrize("reads_again", [True, False])
async def test_a_client_that_does_not_read_is_closed_with_1013(nearby, monkeypatch, reads_again):
    monkeypatch.setattr(sockets, "SEND_TIMEOUT", 0.3)
    monkeypatch.setattr(timeouts, "LIVE_CLOSE", 3 if reads_again else 0.3)
    with sockets_of_the_system.socket() as connection:
        connection.setsockopt(sockets_of_the_system.SOL_SOCKET, sockets_of_the_system.SO_RCVBUF, 4096)
        connection.connect(nearby.address)
        # Nobody takes what this client reads, and so it stops reading.
        async with connect_here(nearby.url, sock=connection, max_queue=1, max_size=None, close_timeout=0.1) as socket:
            for text in ["much"] * 5:
                await socket.send(text)
            await asyncio.sleep(0.5)
            if reads_again:
                with suppress(ConnectionClosed):
                    while True:
                        await soon(socket.recv())
                assert socket.close_code == 1013
            await until(lambda: not nearby.server_state.tasks)
            # Its server knows of no code where it could send none.
            assert nearby.codes == [1013 if reads_again else 1005]


@nearby_alone
async def test_a_consumer_that_does_not_end_with_its_connection_is_ended(nearby, monkeypatch, caplog):
    monkeypatch.setattr(consumers, "FAREWELL", 0.3)
    async with connect_here(nearby.url) as socket:
        await socket.send("talk without end")
        await soon(socket.recv())
    await until(lambda: not nearby.server_state.tasks)
    (record,) = [record for record in caplog.records if record.levelname != "INFO"]
    assert "Ended the consumer of /," in record.getMessage()


@nearby_alone
async def test_the_settings_say_what_is_too_much(settings, nearby):
    settings.WEBSOCKET_RATE = (2, 60)
    async with connect_here(nearby.url) as socket:
        for _ in range(3):
            await socket.send("say nothing")
        await soon(socket.wait_closed())
        assert socket.close_code == 1008
    await until(lambda: nearby.codes == [1008])
