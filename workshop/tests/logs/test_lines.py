"""What real servers write, line by line."""

import json
import os
import pty
import re
import secrets
import socket
import subprocess
import sys
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from workshop.tests.servers import EMBEDDED_MODES, PASSWORD, ROOT, free_port, serve

ID = re.compile(r"[0-9a-f]{32}")
CLAIMED = "claimed-by-a-client"


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with serve(request.param, folder, DJANGO_SETTINGS_MODULE="workshop.tests.logs.settings") as server:
        yield server


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def server_behind_a_proxy(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with serve(
        request.param,
        folder,
        DJANGO_SETTINGS_MODULE="workshop.tests.logs.settings",
        FORWARDED_ALLOW_IPS="10.9.8.7,127.0.0.0/8",
    ) as server:
        yield server


def lines(server):
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def lines_of(server, id):
    return [line for line in lines(server) if line.get("id") == id]


def events_of(server, id):
    return [line for line in lines_of(server, id) if line["logger"] == "workshop.tests.event"]


@pytest.mark.parametrize(
    "path", ["/sync", "/async", "/thread", "/task", "/own-thread", "/stream", "/healthz/live", "/none", "/static/none"]
)
def test_an_answer_has_one_id_and_each_another(server, path):
    ids = [httpx.get(f"{server.url}{path}").headers.get_list("X-Request-ID") for _ in range(2)]
    assert all(len(each) == 1 and ID.fullmatch(each[0]) for each in ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize("path", ["/sync", "/async", "/thread", "/task", "/own-thread", "/stream"])
def test_a_line_has_the_id_of_its_request_wherever_it_is_written(server, path):
    id = httpx.get(f"{server.url}{path}").headers["X-Request-ID"]
    (event,) = events_of(server, id)
    assert event["message"] == f"happened, and the header says {id}"
    assert event["level"] == "INFO"
    assert event["order"] == 5
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", event["time"])


def test_requests_at_the_same_time_keep_theirs_apart(server):
    with httpx.Client(base_url=server.url) as client:
        ids = [client.get(path).headers["X-Request-ID"] for path in ["/sync", "/thread"] * 10]
    assert [len(events_of(server, id)) for id in ids] == [1] * 20


@pytest.mark.parametrize("headers", [[CLAIMED], [CLAIMED, CLAIMED], ["a" * 64], ["\x9b31m"]])
def test_a_client_does_not_choose_its_id(server, headers):
    response = httpx.get(f"{server.url}/sync", headers=[(b"X-Request-ID", each.encode("latin-1")) for each in headers])
    id = response.headers["X-Request-ID"]
    assert ID.fullmatch(id)
    assert events_of(server, id)[0]["message"].endswith(id)
    assert CLAIMED not in server.log.read_text()


def test_a_proxy_chooses_the_id(server_behind_a_proxy):
    server = server_behind_a_proxy
    id = secrets.token_hex(16)
    # The client's address is not what is believed.
    response = httpx.get(f"{server.url}/thread", headers={"X-Request-ID": id, "X-Forwarded-For": "198.51.100.1"})
    assert response.headers.get_list("X-Request-ID") == [id]
    assert len(events_of(server, id)) == 1


@pytest.mark.parametrize(
    "headers", [["a", "b"], ["a" * 65], ['"'], ["a b"], [""]], ids=["two", "long", "'", " ", "none"]
)
def test_a_proxy_that_passes_on_nonsense_is_not_believed(server_behind_a_proxy, headers):
    response = httpx.get(f"{server_behind_a_proxy.url}/sync", headers=[("X-Request-ID", each) for each in headers])
    assert ID.fullmatch(response.headers["X-Request-ID"])


@pytest.mark.modes("asgi")
def test_a_websocket_has_an_id(server):
    with connect(server.socket_url("?token=of-the-socket")) as socket:
        id = socket.response.headers["X-Request-ID"]
    assert ID.fullmatch(id)
    assert lines_of(server, id)[0]["message"].endswith('"WebSocket /live/notes/ws?[hidden]" [accepted]')


@pytest.mark.modes("asgi")
def test_a_websocket_that_is_refused_has_an_id_in_its_answer_and_its_lines(server):
    with pytest.raises(InvalidStatus) as refusal:
        connect(server.socket_url(), origin="https://evil.example", additional_headers={"X-Request-ID": CLAIMED})
    id = refusal.value.response.headers["X-Request-ID"]
    assert ID.fullmatch(id)
    assert lines_of(server, id)[0]["logger"] == "kit.live.sockets"
    assert CLAIMED not in server.log.read_text()


def test_every_line_is_json_with_the_same_fields(server):
    httpx.get(f"{server.url}/sync")
    for line in lines(server):
        assert {"time", "level", "logger", "process", "id", "message"} <= line.keys()
    assert {
        "gunicorn.error",
        "gunicorn.access" if server.mode == "wsgi" else "uvicorn.access",
        "workshop.tests.event",
    } <= {line["logger"] for line in lines(server)}


def test_an_error_is_one_line_with_its_traceback_in_a_field(server):
    response = httpx.get(f"{server.url}/failing")
    assert response.status_code == 500
    errors = [line for line in lines_of(server, response.headers["X-Request-ID"]) if line["level"] == "ERROR"]
    (error,) = errors
    assert error["logger"] == "django.request"
    assert error["message"] == "Internal Server Error: /failing"
    assert error["status_code"] == 500
    assert 'File "' in error["exception"]
    assert "in failing_view" in error["exception"]
    # Escaped twice: neither the line nor what is read from it steers a terminal.
    assert "\\x1b[31m" in error["exception"]


def test_an_error_in_a_stream_is_written_with_its_id(server):
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{server.url}/failing-stream").raise_for_status()
    (error,) = [line for line in lines(server) if "the stream broke" in line.get("exception", "")]
    assert ID.fullmatch(error["id"])


@pytest.mark.parametrize("before", [b"/sync", b"/failing-stream"])
def test_a_request_that_nobody_can_read_is_not_written_under_the_id_of_another(server, before):
    port = int(server.url.rsplit(":", 1)[1])
    # As many as there are threads, one of which reads the last.
    first = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % before
    for request in [*[first] * 8, b"GET /sync?token=of-the-line HTTP/x\r\n\r\n"]:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(10_000):
                pass
    invalid = [line for line in lines(server) if line["level"] == "WARNING" and "nvalid" in line["message"]]
    assert invalid
    assert [line for line in invalid if line.get("id") or "of-the-line" in line["message"]] == []


def test_no_secret_is_written(server):
    secret = {
        name: f"secret-{secrets.token_hex(8)}" for name in ("query", "session", "csrf", "basic", "referer", "form")
    }
    headers = {
        "Cookie": f"sessionid={secret['session']}; csrftoken={secret['csrf']}",
        "Authorization": f"Bearer {secret['basic']}",
        "Referer": f"http://localhost/x?next={secret['referer']}",
        "X-CSRFToken": secret["csrf"],
    }
    with server.member() as member:
        # Signs in and fails, and is told so.
        member.send("/accounts/logout/")
        member.send("/accounts/login/", {"login": member.name, "password": PASSWORD}, page="/accounts/login/")
        session = member.client.cookies["sessionid"]
        token = member.client.cookies["csrftoken"]
        for path in ("/failing", "/none", "/i18n/setlang/", "/failing-stream"):
            with httpx.Client(base_url=server.url, headers=headers) as client:
                for data in ({"password": [secret["form"], secret["form"]]}, None):
                    # The stream breaks.
                    with suppress(httpx.HTTPError):
                        client.request(
                            "POST" if data else "GET", f"{path}?token={secret['query']}&a={secret['query']}", data=data
                        )
        member.client.get(f"/failing?next=/%3Ftoken={secret['query']}")
    log = server.log.read_text()
    assert "in failing_view" in log
    assert [
        name
        for name, value in {**secret, "password": PASSWORD, "cookie": session, "token": token}.items()
        if value in log
    ] == []


@pytest.mark.parametrize("path", ["/%0d%0aforged", "/%1b%5b31mred", "/%c2%9b31m", "/%e2%80%a8forged", "/%ff%00"])
def test_what_a_client_sends_makes_no_line_of_its_own_and_steers_no_terminal(server, path):
    response = httpx.get(f"{server.url}{path}", headers={"User-Agent": b"\x9b31m", "Referer": b"\xe2\x80\xa8"})
    assert ID.fullmatch(response.headers["X-Request-ID"])
    assert lines_of(server, response.headers["X-Request-ID"])
    assert [char for char in server.log.read_text() if not char.isprintable() and char != "\n"] == []


def on_a_terminal(*command, until=None, **variables):
    """The lines that a command writes where that is a terminal; it is stopped after the one with `until` in it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=ROOT, stdout=theirs, stderr=theirs, env={**os.environ, **variables})
    os.close(theirs)
    written = b""
    # At the end of the other side, Linux has an error for the reader.
    with suppress(OSError):
        while part := os.read(ours, 10_000):
            written += part
            if until and until in written:
                process.terminate()
                until = None
    os.close(ours)
    assert process.wait(timeout=30) == 0
    return written.decode().replace("\r\n", "\n").splitlines()


LOG = """
import logging
from kit.logs import request_id
request_id.set("some-id")
try:
    raise ValueError("wrong\\n[2026-11-21 00:00:00] [1] [INFO] forged: line")
except ValueError:
    logging.getLogger("apps").exception("one\\ntwo \\x1b[31m token=abc")
"""


def test_on_a_terminal_lines_are_plain_text():
    first, *traceback = on_a_terminal(sys.executable, "manage.py", "shell", "--no-imports", "--command", LOG)
    assert re.fullmatch(
        r"\[[-\d :,]+\] \[\d+\] \[ERROR\] apps: one\\ntwo \\x1b\[31m token=\[hidden\] \[some-id\]", first
    )
    assert "ValueError: wrong" in "".join(traceback)
    assert [line for line in traceback if not line.startswith("  ")] == []


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_on_a_terminal_the_servers_write_plain_text_too(mode):
    lines = on_a_terminal(
        sys.executable, "-m", "kit.serving", until=b"Booting worker", SERVER_MODE=mode, PORT=str(free_port())
    )
    assert [
        line
        for line in lines
        if re.fullmatch(r"\[[-\d :,]+\] \[\d+\] \[INFO\] gunicorn.error: Listening at: \S+ .*", line)
    ]
    assert [line for line in lines if line.startswith("{")] == []
