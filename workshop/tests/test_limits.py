"""Odd requests, each answered with the same status by every server, and as Nginx answers it where one is in front."""

import re

import pytest

from kit.serving import limits
from workshop.tests.servers import ROOT
from workshop.tests.stack.wire import Wire

NGINX = ROOT / "nginx"
GET = b"GET /healthz/live%b HTTP/1.1"
HOST = b"Host: localhost"
WEBSOCKET = (
    HOST, b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip


def request(*fields, line=GET % b"", body=b""):
    return b"\r\n".join([line, *fields, b"", body])


def line(length):
    return GET % (b"?" + b"x" * (length - len(GET % b"?")))


def field(length):
    return b"X-Long: " + b"x" * (length - 8)


def many(count, length=10):
    return [b"X-%d: ".ljust(length, b"x") % number for number in range(count)]


def post(*fields, line=b"POST /healthz/live HTTP/1.1", body=b"0\r\n\r\n"):
    return request(HOST, *fields, line=line, body=body)


REQUESTS = {
    "the longest line": (request(HOST, line=line(limits.REQUEST_LINE)), 200),
    "a longer line": (request(HOST, line=line(limits.REQUEST_LINE + 1)), 414),
    "a line that is far too long": (request(HOST, line=line(20_000)), 414),
    "the longest header": (request(HOST, field(limits.FIELD)), 200),
    "a longer header": (request(HOST, field(limits.FIELD + 1)), 431),
    "16 KB of cookies": (request(HOST, b"Cookie: a=" + b"x" * 16_000), 431),
    "the most headers": (request(HOST, *many(limits.FIELDS - 1)), 200),
    "more headers": (request(HOST, *many(limits.FIELDS)), 431),
    "as much as Nginx lets pass": (request(HOST, *many(4, 8000)), 200),
    "more in all": (request(HOST, *many(6, 8000)), 431),
    "no host": (request(), 400),
    "no host in HTTP/1.0": (request(line=b"GET /healthz/live HTTP/1.0"), 200),
    "no host but in the address": (request(line=b"GET http://localhost/healthz/live HTTP/1.1"), 400),
    "two hosts": (request(HOST, HOST), 400),
    "two hosts in HTTP/1.0": (request(HOST, HOST, line=b"GET /healthz/live HTTP/1.0"), 400),
    "HTTP/0.9": (request(HOST, line=b"GET /healthz/live HTTP/0.9"), 400),
    "HTTP/1.2": (request(HOST, line=b"GET /healthz/live HTTP/1.2"), 400),
    "HTTP/2.0": (request(HOST, line=b"GET /healthz/live HTTP/2.0"), 400),
    "no version": (b"GET /healthz/live\r\n\r\n", 400),
    "a method in small letters": (request(HOST, line=b"get /healthz/live HTTP/1.1"), 400),
    "an address with a space": (request(HOST, line=b"GET /healthz/ live HTTP/1.1"), 400),
    "a header on two lines": (request(HOST, b"X-A: b\r\n c"), 400),
    "a space before the colon": (request(HOST, b"X-A : b"), 400),
    "no colon": (request(HOST, b"X-A"), 400),
    "a NUL": (request(HOST, b"X-A: \0"), 400),
    "a lone CR": (request(HOST, b"X-A: a\rX-B: b"), 400),
    "lone LFs": (request(HOST).replace(b"\r\n", b"\n"), 400),
    "two ways to tell the length": (post(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    "two lengths": (post(b"Content-Length: 5", b"Content-Length: 5"), 400),
    "a negative length": (post(b"Content-Length: -5"), 400),
    "chunks in HTTP/1.0": (post(b"Transfer-Encoding: chunked", line=b"POST /healthz/live HTTP/1.0"), 400),
    "an encoding that is not the last": (post(b"Transfer-Encoding: gzip"), 400),
}


@pytest.mark.parametrize(("data", "status"), REQUESTS.values(), ids=REQUESTS)
def test_an_odd_request_is_answered_alike_by_every_server(server, data, status):
    with Wire(int(server.url.rsplit(":", 1)[1])) as wire:
        wire.send(data)
        answer = wire.answer()
        assert answer.status == status
        if status != 200:
            assert answer.headers["connection"] == "close"
            assert len(answer.body) < 300
            assert wire.rest() == b""


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (request(HOST)[:-2] + b"X-Endless: ", b"x" * 16_000),
        (request(HOST)[:-2], b"X-More: x\r\n" * 1000),
        (post(b"Transfer-Encoding: chunked", body=b"5;"), b"x" * 16_000),
        (post(b"Transfer-Encoding: chunked", body=b"5\r\nabcde\r\n0\r\nX-Endless: "), b"x" * 16_000),
    ],
    ids=["a header", "headers", "what follows the size of a chunk", "a header after the body"],
)
def test_what_never_ends_is_ended(server, begin, more):
    with Wire(int(server.url.rsplit(":", 1)[1])) as wire, pytest.raises((BrokenPipeError, ConnectionResetError)):
        # More than a worker of ours reads after its answer, and than the buffers of the system hold.
        wire.socket.sendall(begin + more * (60_000_000 // len(more)))


@pytest.mark.modes("asgi")
@pytest.mark.parametrize("more", [[field(limits.FIELD)], many(limits.FIELDS - len(WEBSOCKET))], ids=["long", "many"])
def test_a_websocket_may_have_as_much_in_its_handshake(server, more):
    with Wire(int(server.url.rsplit(":", 1)[1])) as wire:
        wire.send(request(*WEBSOCKET, *more, line=b"GET /live/wishes/ws HTTP/1.1"))
        assert wire.answer().status == 101


def test_the_servers_take_what_nginx_lets_pass():
    text = (NGINX / "snippets" / "limits.conf").read_text()
    number, size = map(int, re.search(r"^large_client_header_buffers (\d+) (\d+)k;", text, re.MULTILINE).groups())
    first = int(re.search(r"^client_header_buffer_size (\d+)k;", text, re.MULTILINE)[1])
    fields = int(re.search(r"^max_headers (\d+);", text, re.MULTILINE)[1])
    added = sum(len(re.findall("proxy_set_header", path.read_text())) for path in NGINX.rglob("*.conf"))
    # Each line with its end.
    assert size * 1024 <= limits.REQUEST_LINE + 2
    assert size * 1024 <= limits.FIELD + 2
    assert fields + added <= limits.FIELDS
    assert (number * size + first) * 1024 + added * 200 <= limits.HEADER
