"""One request in the logs of the stack, from Nginx to the application."""

import json
import re
import secrets
import socket
import time

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

CLAIMED = "claimed-by-a-client"


def lines(stack, text, logger):
    """The lines that hold `text`, of Nginx (`logger` None) or of one of the application's loggers."""
    for _ in range(50):
        # They come a moment after the answer.
        written = stack.compose("logs", "--no-log-prefix", "--since", "60s", "nginx", *stack.serving()).stdout
        found = [json.loads(line) for line in written.splitlines() if text in line]
        if found := [line for line in found if line.get("logger") == logger]:
            return found
        time.sleep(0.2)
    raise AssertionError(f"No line of {logger} holds {text}:\n{written[-3000:]}")


def test_a_request_has_one_id_from_nginx_to_the_application_and_back(stack):
    secret, name = secrets.token_hex(8), f"/none-{secrets.token_hex(8)}"
    response = httpx.get(
        f"{stack.url}{name}?token={secret}&token={secret}",
        headers={"X-Request-ID": CLAIMED, "Referer": f"{stack.url}/?a={secret}", "Cookie": f"sessionid={secret}"},
    )
    (id,) = response.headers.get_list("X-Request-ID")
    assert re.fullmatch("[0-9a-f]{32}", id)
    (nginx,) = lines(stack, name, None)
    assert (nginx["id"], nginx["status"], nginx["uri"]) == (id, 404, f"{name}?[hidden]")
    assert nginx["referer"] == f"{stack.url}/?[hidden]"
    (event,) = lines(stack, name, "django.request")
    assert event["id"] == id
    written = stack.compose("logs", "--since", "60s").stdout
    assert [text for text in (secret, CLAIMED) if text in written] == []


@pytest.mark.modes("asgi", "hybrid")
def test_a_websocket_has_one_id_from_nginx_to_the_application_and_back(stack):
    origin = f"https://{secrets.token_hex(8)}.example"
    with pytest.raises(InvalidStatus) as refusal:
        connect(stack.socket_url(), origin=origin, additional_headers={"X-Request-ID": CLAIMED})
    id = refusal.value.response.headers["X-Request-ID"]
    assert [line["message"] for line in lines(stack, id, "kit.live.sockets") if origin in line["message"]]
    assert lines(stack, id, None)[0]["status"] == 403
    with connect(stack.socket_url()) as live:
        id = live.response.headers["X-Request-ID"]
    assert lines(stack, id, None)[0]["status"] == 101


def test_a_page_of_nginx_has_the_id_too(stack):
    response = httpx.post(f"{stack.url}/accounts/login/", content=b"x" * (11 * 1024 * 1024))
    assert response.status_code == 413
    (line,) = lines(stack, response.headers["X-Request-ID"], None)
    assert line["status"] == 413


def test_whatever_bytes_come_the_line_is_json(stack):
    name = f"/none-{secrets.token_hex(8)}"
    hostile = b'\xff\xc2\x9b31m"\\},{"id":"forged'
    with socket.create_connection(("127.0.0.1", stack.port), timeout=10) as connection:
        connection.sendall(
            b"GET %b HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %b\r\nReferer: %b\x1b[31m\r\nConnection: close\r\n\r\n"
            % (name.encode(), hostile, hostile)
        )
        while connection.recv(10_000):
            pass
        (line,) = lines(stack, name, None)
    assert line["uri"] == name
    assert (line["agent"], line["referer"]) == ("[unprintable]", "[unprintable]")
