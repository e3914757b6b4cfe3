"""Bodies that come in chunks, without a Nginx that would count them first."""

import hashlib
import socket
import tracemalloc
from urllib.parse import urlsplit

import httpx
import pytest

from kit.serving import bodies
from workshop.tests.servers import serve

SERVERS = {
    "wsgi": ("wsgi", {}),
    "gthread": ("wsgi", {"STOCK_WSGI": "1"}),
    "sync": ("wsgi", {"WEB_THREADS": "1"}),
    "asgi": ("asgi", {}),
    "stock": ("asgi", {"STOCK_ASGI": "1"}),
}
LIMIT = 1024 * 1024
CHUNKED = "POST /echo HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    mode, variables = SERVERS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    with serve(
        mode, folder, DJANGO_SETTINGS_MODULE="workshop.tests.bodies.settings", LIMIT_UPLOAD="1", **variables
    ) as server:
        yield server


def chunks(body):
    return (body[start : start + 7_000] for start in range(0, len(body), 7_000))


def post(server, body, kind, path="/echo"):
    return httpx.post(f"{server.url}{path}", content=chunks(body), headers={"Content-Type": kind}, timeout=30)


def raw(server, text):
    """The answer to what is sent as it stands, up to its end."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(text.format(host=address.netloc).encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_form_arrives(server):
    response = post(server, b"name=Ada&text=" + b"x" * 100_000, "application/x-www-form-urlencoded")
    assert response.json()["post"] == {"name": "Ada", "text": "x" * 100_000}


def test_a_form_with_a_file_arrives(server):
    content = bytes(range(256)) * 1_000
    request = httpx.Request("POST", "http://x", data={"name": "Ada"}, files={"file": content})
    response = post(server, request.read(), request.headers["Content-Type"])
    assert response.json() == {"post": {"name": "Ada"}, "files": {"file": hashlib.sha256(content).hexdigest()}}


@pytest.mark.parametrize("size", [0, 2, 65_536, LIMIT])
def test_json_arrives(server, size):
    response = post(server, b"1" * size, "application/json")
    assert response.json() == {"body": "1" * size, "length": str(size)}


def test_a_connection_serves_on_after_it(server):
    with httpx.Client(base_url=server.url) as client:
        for number in range(3):
            body = str(number).encode()
            answer = client.post("/echo", content=iter([body]), headers={"Content-Type": "application/json"})
            assert answer.json()["body"] == str(number)


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json"]
)
def test_a_body_over_the_limit_is_answered_413(server, kind):
    assert post(server, b"x" * (LIMIT + 1), kind).status_code == 413
    # A form without a token is refused for that, unread.
    expected = 403 if kind.startswith("multipart") else 413
    assert post(server, b"x" * (LIMIT + 1), kind, path="/").status_code == expected


def test_a_length_beside_the_chunks_is_answered_400(server):
    answer = raw(server, CHUNKED + "Content-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_what_is_no_chunk_is_no_body(server):
    assert b"200" not in raw(server, CHUNKED + "\r\nxyz\r\nhello\r\n0\r\n\r\n").partition(b"\r\n")[0]
    assert "Traceback" not in server.log.read_text()


def test_a_body_that_breaks_off_is_no_body(server):
    assert not raw(server, CHUNKED + "\r\n5\r\nhello\r\n").startswith(b"HTTP/1.1 200 ")
    assert httpx.get(f"{server.url}/healthz/live").status_code == 200
    assert "Traceback" not in server.log.read_text()


class Endless:
    def read(self, size):
        return b"x" * size


def test_no_more_of_it_is_in_memory_than_of_an_upload(settings):
    settings.LIMIT_UPLOAD = 50
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": Endless()}
    tracemalloc.start()
    try:
        answer = bodies.wsgi(pytest.fail)(environ, lambda status, headers: None)
        assert answer == [bodies.TOO_LARGE]
        assert tracemalloc.get_traced_memory()[1] < 3 * settings.FILE_UPLOAD_MAX_MEMORY_SIZE
    finally:
        tracemalloc.stop()
