"""The same tests of the project for `make run-wsgi` and `make run-asgi`."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection

import pytest
from django.conf import settings
from django.shortcuts import resolve_url

from kit.live.topics import REGISTRATIONS

# Topics without a parameter, which can be requested directly.
TOPICS = [topic for topic in REGISTRATIONS if "<" not in topic]
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


class Server:
    def __init__(self, mode, port, log):
        self.mode, self.port, self.log = mode, port, log

    def get(self, path, **headers):
        """The response, with its body as `text`."""
        connection = HTTPConnection("localhost", self.port, timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        # The data after a 101 is not a body, and has no end.
        answer.text = "" if answer.status == 101 else answer.read().decode(errors="replace")
        connection.close()
        return answer

    def wait(self, process):
        for _ in range(600):
            assert process.poll() is None, self.log.read_text()
            try:
                if self.get("/healthz/ready").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        pytest.fail(f"Not ready after a minute:\n{self.log.read_text()}")


@pytest.fixture(scope="session", params=["wsgi", "asgi"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    environment = {
        **os.environ,
        "SERVER_MODE": request.param,
        "PORT": str(port),
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "REDIS_URL": "",
    }
    for command in ("migrate", "collectstatic"):
        manage = [sys.executable, "manage.py", command, "--no-input", "--verbosity", "0"]
        subprocess.run(manage, cwd=settings.BASE_DIR, env=environment, check=True)
    server = Server(request.param, port, folder / "server.log")
    with server.log.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kit.serving"], cwd=settings.BASE_DIR, env=environment, stdout=log, stderr=log
        )
    try:
        server.wait(process)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


def test_it_is_ready_and_says_in_which_mode(server):
    answer = json.loads(server.get("/healthz/ready").text)
    assert (answer["status"], answer["mode"]) == ("ready", server.mode)


def test_the_first_page_is_served(server):
    answer = server.get("/")
    assert answer.status < 400, server.log.read_text()


def test_a_page_and_the_files_that_it_names_are_served_and_files_may_be_kept(server):
    page = server.get(resolve_url(settings.LOGIN_URL))
    assert page.status == 200, server.log.read_text()
    files = re.findall(rf'(?:href|src)="({settings.STATIC_URL}[^"]+)"', page.text)
    assert files
    for path in files:
        file = server.get(path)
        assert file.status == 200, path
        # Their names change with their content.
        assert "immutable" in file.headers["Cache-Control"], path
        assert file.headers["X-Content-Type-Options"] == "nosniff"


def test_a_page_is_kept_by_no_cache_that_others_use(server):
    answer = server.get(resolve_url(settings.LOGIN_URL))
    assert {"no-store", "private"} & set(re.split(r",\s*", answer.headers["Cache-Control"]))


def test_no_file_of_the_project_is_served(server):
    for path in ("/static/../manage.py", "/static/%2e%2e/manage.py", "/.env", "/manage.py", "/static//etc/passwd"):
        assert server.get(path).status in (301, 302, 400, 403, 404), path


def test_another_host_than_the_site_is_refused(server):
    assert server.get("/", Host="evil.example").status == 400


def test_an_error_is_a_page_and_not_a_traceback(server):
    answer = server.get("/no/such/page")
    assert answer.status == 404
    assert "<h1" in answer.text
    assert "Traceback" not in answer.text


def test_a_websocket_is_opened_or_the_answer_says_what_opens_one(server):
    statuses = {topic: server.get(f"/live/{topic}/ws", **UPGRADE).status for topic in [*TOPICS, "no-such-topic"]}
    if server.mode == "wsgi":
        assert set(statuses.values()) == {426}
    else:
        # 403: the topic is not for outsiders.
        assert statuses.pop("no-such-topic") == 404
        assert set(statuses.values()) <= {101, 403}


def test_a_page_of_another_site_opens_no_websocket(server):
    for topic in TOPICS:
        answer = server.get(f"/live/{topic}/ws", Origin="https://evil.example", **UPGRADE)
        assert answer.status == (426 if server.mode == "wsgi" else 403)


def test_every_topic_answers_who_polls(server):
    for topic in TOPICS:
        answer = server.get(f"/live/{topic}/changes")
        assert answer.status in (200, 403), topic
        if answer.status == 200:
            message = json.loads(answer.text)
            assert (message["changes"], message["cursor"].isdigit()) == ([], True)


def test_nothing_of_this_left_a_failure_in_the_log(server):
    assert "Traceback" not in server.log.read_text()
