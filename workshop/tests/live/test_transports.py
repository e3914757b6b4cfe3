"""The ways in which a page stays live, through real servers."""

import json
import os
import signal
import threading
import time
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from workshop.tests.servers import serve

pushing = pytest.mark.modes("asgi")
polling = pytest.mark.modes("wsgi")


@pytest.fixture
def note(server):
    """Publishes a text; its key."""

    def note(text):
        httpx.post(f"{server.url}/notes/", data={"text": text}).raise_for_status()
        return text

    return note


def changes(server, query="", **headers):
    return httpx.get(f"{server.url}/live/notes/changes{query}", headers=headers, timeout=40)


def cursor_of(server):
    return changes(server).json()["cursor"]


def carries(message, text):
    return any(text in (change["html"] or "") for change in message["changes"])


def receive_until(socket, text, seconds):
    """The seconds until a message carries `text`."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        if carries(json.loads(socket.recv(timeout=seconds)), text):
            return time.monotonic() - begin
    raise AssertionError(f"{text!r} did not come within {seconds} s")


# Polling: in every mode.


def test_a_poll_gets_what_changed_after_its_cursor(server, note):
    cursor = cursor_of(server)
    key = note("polled for")
    message = changes(server, f"?after={cursor}").json()
    assert [change["id"] for change in message["changes"]] == [key]
    assert carries(message, "polled for")
    assert changes(server, f"?after={message['cursor']}").json() == {"cursor": message["cursor"], "changes": []}


def test_what_is_gone_is_polled_as_null(server, note):
    cursor = cursor_of(server)
    key = note("no longer there")
    assert changes(server, f"?after={cursor}").json()["changes"] == [{"id": key, "html": None}]


def test_a_poll_without_news_is_answered_304(server, note):
    first = changes(server, f"?after={cursor_of(server)}")
    second = changes(server, f"?after={first.json()['cursor']}", **{"If-None-Match": first.headers["ETag"]})
    assert (second.status_code, second.content) == (304, b"")
    note("news")
    third = changes(server, f"?after={first.json()['cursor']}", **{"If-None-Match": first.headers["ETag"]})
    assert third.status_code == 200


def test_a_poll_speaks_the_language_of_its_reader(server, note):
    cursor = cursor_of(server)
    note("in two languages")
    english, korean = (
        changes(server, f"?after={cursor}", **{"Accept-Language": language}).text for language in ("en", "ko")
    )
    assert "lang=en" in english
    assert "lang=ko" in korean


def test_a_page_that_polls_learns_what_else_there_is(server):
    expected = "websocket events polling" if server.pushes else "polling"
    assert changes(server).headers["Live-Transports"] == expected


@pytest.mark.parametrize("cursor", ["x", "-1", "", "99999999999999999999", "%00", "1%0d%0aX: y"])
def test_a_bad_cursor_is_answered_400_with_what_a_good_one_is(server, cursor):
    response = changes(server, f"?after={cursor}")
    assert response.status_code == 400
    assert "after=42" in response.json()["error"]


def test_a_cursor_from_another_database_is_answered_410(server):
    assert changes(server, "?after=999999999").status_code == 410


def test_an_unknown_topic_is_answered_404(server):
    assert httpx.get(f"{server.url}/live/nothing/changes").status_code == 404


def test_changes_can_only_be_read(server):
    assert httpx.post(f"{server.url}/live/notes/changes").status_code in (403, 405)
    assert httpx.head(f"{server.url}/live/notes/changes").status_code == 200


# Long polling, event stream, WebSocket: where there is an event loop.


@pushing
def test_a_long_poll_is_held_until_there_is_news(server, note):
    cursor = cursor_of(server)
    timer = threading.Timer(0.7, note, ["worth the wait"])
    timer.start()
    begin = time.monotonic()
    message = changes(server, f"?after={cursor}&wait=25").json()
    assert carries(message, "worth the wait")
    assert 0.5 < time.monotonic() - begin < 3
    timer.join()


@pushing
def test_a_long_poll_without_news_ends_by_itself(server):
    begin = time.monotonic()
    cursor = cursor_of(server)
    assert changes(server, f"?after={cursor}&wait=1").json() == {"cursor": cursor, "changes": []}
    assert 0.9 < time.monotonic() - begin < 3


@pushing
@pytest.mark.parametrize("wait", ["x", "26", "-1", "1.5", "999"])
def test_a_bad_wait_is_answered_400(server, wait):
    response = changes(server, f"?after=0&wait={wait}")
    assert response.status_code == 400
    assert "0 to 25" in response.json()["error"]


@pushing
def test_an_event_stream_catches_up_and_follows(server, note):
    cursor = cursor_of(server)
    note("before the stream")
    with httpx.stream("GET", f"{server.url}/live/notes/events?after={cursor}", timeout=10) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        lines = response.iter_lines()
        identifier, data = next(lines), next(lines)
        message = json.loads(data.removeprefix("data: "))
        assert carries(message, "before the stream")
        assert identifier == f"id: {message['cursor']}"
        note("during the stream")
        while not (line := next(lines)).startswith("data: "):
            pass
        assert carries(json.loads(line.removeprefix("data: ")), "during the stream")


@pushing
def test_an_event_stream_that_is_taken_up_again_goes_by_its_last_event(server, note):
    note("seen already")
    cursor = cursor_of(server)
    headers = {"Last-Event-ID": cursor}
    with httpx.stream("GET", f"{server.url}/live/notes/events?after=0", headers=headers, timeout=10) as response:
        lines = response.iter_lines()
        next(lines)
        assert json.loads(next(lines).removeprefix("data: ")) == {"cursor": cursor, "changes": []}


@pushing
def test_an_event_stream_from_another_database_says_reload(server):
    with httpx.stream("GET", f"{server.url}/live/notes/events?after=999999999", timeout=10) as response:
        assert next(response.iter_lines()) == "event: reload"


@pushing
def test_a_websocket_catches_up_and_follows(server, note):
    cursor = cursor_of(server)
    note("before the socket")
    with connect(server.socket_url(f"?after={cursor}")) as socket:
        receive_until(socket, "before the socket", 2)
        note("during the socket")
        assert receive_until(socket, "during the socket", 5) < 1


@pushing
def test_a_websocket_without_a_cursor_is_told_where_it_stands(server):
    cursor = cursor_of(server)
    with connect(server.socket_url()) as socket:
        assert json.loads(socket.recv(timeout=2)) == {"cursor": cursor, "changes": []}


@pushing
@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://localhost.evil.example:{port}", "null", "http://[", "http://localhost:1"],
)
def test_a_websocket_from_a_foreign_page_is_refused_and_named_in_the_log(server, origin):
    origin = origin.format(port=server.url.rsplit(":", 1)[1])
    with pytest.raises(InvalidStatus) as refusal:
        connect(server.socket_url(), origin=origin)
    assert refusal.value.response.status_code == 403
    assert repr(origin) in server.log.read_text()


@pushing
def test_a_websocket_from_our_own_page_is_taken(server):
    port = server.url.rsplit(":", 1)[1]
    with connect(server.socket_url(), origin=f"http://localhost:{port}") as socket:
        socket.recv(timeout=2)


@pushing
def test_a_websocket_with_a_bad_cursor_is_answered_400(server):
    with pytest.raises(InvalidStatus) as refusal:
        connect(server.socket_url("?after=x"))
    assert refusal.value.response.status_code == 400
    assert b"after=42" in refusal.value.response.body


@pushing
def test_a_websocket_of_an_unknown_topic_is_answered_404(server):
    with pytest.raises(InvalidStatus) as refusal:
        connect(server.socket_url(topic="nothing"))
    assert refusal.value.response.status_code == 404


def close_code(socket):
    try:
        while True:
            socket.recv(timeout=5)
    except ConnectionClosed as closed:
        return closed.rcvd.code


@pushing
def test_a_websocket_from_another_database_is_told_to_load_its_page_anew(server):
    with connect(server.socket_url("?after=999999999")) as socket:
        assert close_code(socket) == 4410


@pushing
def test_a_message_over_64_kib_closes_the_websocket(server):
    with connect(server.socket_url()) as socket:
        socket.send("x" * (64 * 1024 + 1))
        assert close_code(socket) == 1009


@pushing
def test_too_many_messages_close_the_websocket(server):
    with connect(server.socket_url()) as socket:
        with suppress(ConnectionClosed):
            for _ in range(30):
                socket.send("{}")
        assert close_code(socket) == 1008


@pushing
def test_live_connections_are_sent_away_at_once_when_the_server_stops(tmp_path, server):
    with (
        serve("asgi", tmp_path, DJANGO_SETTINGS_MODULE="workshop.probe.settings") as stopping,
        connect(stopping.socket_url()) as socket,
    ):
        socket.recv(timeout=2)
        with httpx.stream("GET", f"{stopping.url}/live/notes/events", timeout=10) as response:
            lines = response.iter_lines()
            next(lines)
            begin = time.monotonic()
            os.kill(stopping.pid, signal.SIGTERM)
            assert close_code(socket) == 1012
            for _ in lines:
                pass
            assert time.monotonic() - begin < 3
    assert "Traceback" not in stopping.log.read_text()


# And where there is none.


@polling
@pytest.mark.parametrize("path", ["ws", "events"])
def test_without_an_event_loop_a_push_is_answered_426_with_what_to_do(server, path):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"} if path == "ws" else {}
    response = httpx.get(f"{server.url}/live/notes/{path}", headers=headers)
    assert response.status_code == 426
    assert "make up-asgi" in response.text
    assert response.text.count("\n") == 1


@polling
def test_a_wait_is_answered_at_once_without_an_event_loop(server):
    begin = time.monotonic()
    assert changes(server, f"?after={cursor_of(server)}&wait=25").status_code == 200
    assert time.monotonic() - begin < 2
