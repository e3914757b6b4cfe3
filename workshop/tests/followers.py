"""Those who follow the private topics of the probe, over bare sockets: every byte that a server sends them is kept."""

import re
import secrets
import selectors
import socket
import time
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from .servers import Member, Poster, Server

# Seconds within which those who lose the right are cut off.
CUT_OFF_WITHIN = 10
BEFORE, AFTER = f"before-{secrets.token_hex(8)}", f"after-{secrets.token_hex(8)}"


class Transport(NamedTuple):
    """`opened` is the status of those who may follow; `cut` what the others are sent when they no longer may."""

    path: str
    headers: str
    opened: int
    cut: bytes


CLOSE = "Connection: close\r\n"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
# 0x88 is a close frame (RFC 6455, section 5.5.1) and 0x1133 is 4403; an event stream ends with a chunk of no bytes.
TRANSPORTS = {
    "websocket": Transport("ws?", UPGRADE, 101, rb"\x88.\x11\x33"),
    "events": Transport("events?", CLOSE, 200, rb"event: forbidden\ndata:\n\n\r\n0\r\n\r\n"),
    "long-poll": Transport("changes?wait=25&", CLOSE, 200, rb"HTTP/1\.1 403 "),
    "poll": Transport("changes?", CLOSE, 200, rb"HTTP/1\.1 403 "),
}
HELD = ("websocket", "events", "long-poll")
# For `parametrize`: without an event loop there is polling alone.
transports = [*(pytest.param(name, marks=pytest.mark.modes("asgi", "hybrid")) for name in HELD), "poll"]
kinds = ["letters", "rooms", "seats"]


class Follower:
    def __init__(self, server: Server, topic: str, transport: str, cookie: str = "", language: str = "en"):
        self.address = urlsplit(server.url)
        self.topic, self.transport = topic, TRANSPORTS[transport]
        self.headers = f"Cookie: {cookie}\r\nAccept-Language: {language}\r\n{self.transport.headers}"
        self.received = b""
        self.cut_at: float | None = None
        self.lost_at: float | None = None
        self.connection: socket.socket | None = None

    def ask(self) -> None:
        """Connect, and ask for what comes after that which has been received."""
        cursor = re.findall(rb'"cursor":"(\d+)"', self.received)[-1:] or [b"0"]
        self.close()
        self.connection = socket.create_connection((self.address.hostname, self.address.port), timeout=5)
        self.ended = False
        path = f"/live/{self.topic}/{self.transport.path}after={cursor[0].decode()}"
        self.connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.address.netloc}\r\n{self.headers}\r\n".encode())

    def receive(self) -> None:
        try:
            piece = self.connection.recv(65_536)
        except ConnectionResetError:
            piece = b""
        self.ended = not piece
        self.received += piece
        if self.cut_at is None and re.search(self.transport.cut, self.received, re.DOTALL):
            self.cut_at = time.monotonic()

    def close(self) -> None:
        if self.connection:
            self.connection.close()

    def has(self, text: str) -> bool:
        return text.encode() in self.received

    @property
    def status(self) -> int:
        return int(self.received.split(b" ", 2)[1])


def listen(followers, until, seconds: float = 5) -> None:
    """Receive what they are sent, for so long or until this is true of each."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for follower in followers:
            if not follower.ended:
                selector.register(follower.connection, selectors.EVENT_READ, follower)
        while (left := end - time.monotonic()) > 0 and not all(map(until, followers)):
            for key, _ in selector.select(left):
                key.data.receive()
                if key.data.ended:
                    selector.unregister(key.fileobj)
                    key.data.close()


def come(server: Server, topic: str, transport: str, cookie: str = "", until: str = "") -> Follower:
    """To the door: connect, and receive until this text comes or the server ends it."""
    follower = Follower(server, topic, transport, cookie)
    follower.ask()
    listen([follower], lambda follower: follower.ended or (until and follower.has(until)), 3)
    follower.close()
    return follower


def poll(followers) -> None:
    for follower in followers:
        follower.ask()
        listen([follower], lambda follower: follower.ended)


def topics(number: int | str, room: str) -> dict[str, str]:
    """Of each kind of topic the one of this user, or of this room."""
    return {"letters": f"letters/{number}", "rooms": f"rooms/{room}", "seats": f"seats/{room}"}


def step(member: Member, name: str, **data: str) -> str:
    """Have the probe do this to a member; the member's number."""
    return member.client.post(f"/probe/self/{name}", data=data).raise_for_status().text


def cookie(member: Member) -> str:
    return "; ".join(f"{name}={value}" for name, value in member.client.cookies.items())


def publish(server: Server, topics, text: str) -> None:
    for topic in topics:
        httpx.post(f"{server.url}/notes/", data={"topic": topic, "text": text}).raise_for_status()


def follow_and_lose(server: Server, steps: dict[str, str]) -> dict[tuple[str, str, str], Follower]:
    """Members of one room follow all there is. Then each takes a step of these, and after that something changes.

    By name of the step, kind of topic and transport: who has followed.
    """
    with ExitStack() as stack:
        room = f"room-{secrets.token_hex(6)}"
        transports = TRANSPORTS if server.pushes else ("poll",)
        # Another member on each: with a password that was changed, a poll ends the session for all who share it.
        members = {(name, each): stack.enter_context(server.poster()) for name in steps for each in transports}
        followers = {
            (name, kind, transport): Follower(server, topic, transport, cookie(member))
            for (name, transport), member in members.items()
            for kind, topic in topics(step(member, "join", room=room), room).items()
        }
        everyone = followers.values()
        all_topics = {follower.topic for follower in everyone}
        polls, long_polls, held = (
            [follower for (*_, transport), follower in followers.items() if transport in names]
            for names in (("poll",), ("long-poll",), HELD)
        )
        for follower in held:
            follower.ask()
        publish(server, all_topics, BEFORE)
        poll(polls)
        listen(held, lambda follower: follower.has(BEFORE))
        for follower in long_polls:
            follower.ask()
        for (name, transport), member in members.items():
            for kind in kinds:
                followers[name, kind, transport].lost_at = time.monotonic()
            _take(member, steps[name])
        poll(polls)
        leaving = [each for (name, kind, _), each in followers.items() if loses(steps[name], kind)]
        listen(leaving, lambda follower: follower.cut_at, CUT_OFF_WITHIN + 1)

        publish(server, all_topics, AFTER)
        poll(polls)
        staying = [follower for follower in everyone if follower not in leaving]
        listen(staying, lambda follower: follower.has(AFTER))
        # Long enough for what must not come.
        listen(leaving, lambda follower: False, 1)
        for follower in everyone:
            follower.close()
    return followers


# What members may do without losing a right.
STAY, SIGN_OUT_ELSEWHERE = "stay", "sign-out-elsewhere"


def loses(taken: str, kind: str) -> bool:
    # Letters are those of the member, whatever the group.
    return taken not in (STAY, SIGN_OUT_ELSEWHERE) and (taken, kind) != ("leave", "letters")


def _take(member, name):
    if name == SIGN_OUT_ELSEWHERE:
        with httpx.Client(base_url=member.client.base_url) as another_browser:
            step(Poster(another_browser, member.name), "sign-out")
    elif name != STAY:
        step(member, name)
