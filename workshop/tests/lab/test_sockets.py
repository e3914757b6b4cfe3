"""The WebSockets of the lab: Channels' own consumers, and the live topic."""

import json

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .test_workloads import csrf_token, origin


def opened(server, name, **options):
    return connect(f"{server.url.replace('http', 'ws', 1)}/live/lab/{name}", **options)


with_sockets = pytest.mark.parametrize("lab", ["asgi"], indirect=True)


@with_sockets
def test_the_echo_sends_back_what_it_gets(lab):
    with opened(lab, "echo") as socket:
        for text in ("a", "ㄱ" * 1000):
            socket.send(text)
            assert socket.recv(timeout=5) == text
        socket.send(b"\x00\x01")
        assert socket.recv(timeout=5) == b"\x00\x01"


@with_sockets
def test_what_one_sends_to_the_group_reaches_all(lab):
    with opened(lab, "channels") as one, opened(lab, "channels") as other:
        # Both are in the group for certain once each has heard itself.
        for socket, text in ((one, "from one"), (other, "from the other")):
            socket.send(text)
            while socket.recv(timeout=5) != text:
                pass
        one.send("to all")
        for socket in (one, other):
            while socket.recv(timeout=5) != "to all":
                pass


@with_sockets
@pytest.mark.parametrize("name", ["echo", "channels"])
def test_a_page_of_ours_may_connect_and_a_foreign_one_may_not(lab, name):
    with opened(lab, name, origin=origin(lab)):
        pass
    with pytest.raises(InvalidStatus) as refused:
        opened(lab, name, origin="https://evil.example")
    assert refused.value.response.status_code == 403


@with_sockets
def test_a_broadcast_reaches_an_open_socket(lab):
    with opened(lab, "ws") as socket, lab.client() as client:
        socket.recv(timeout=5)
        answer = client.post("/lab/broadcast/async", headers={"X-CSRFToken": csrf_token(client)})
        (change,) = json.loads(socket.recv(timeout=5))["changes"]
        assert answer.json()["text"] in change["html"]


def test_without_websockets_the_topic_is_still_there_to_poll(lab):
    assert httpx.get(f"{lab.url}/live/lab/changes").status_code == 200
    expected = 426 if lab.mode == "wsgi" else 200
    with httpx.stream("GET", f"{lab.url}/live/lab/events") as response:
        assert response.status_code == expected
