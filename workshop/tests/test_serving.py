"""What every server of the table answers alike, through real servers."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from workshop.tests.servers import ROOT, free_port

asset = re.compile(r'href="(/static/wisheasy/style\.[0-9a-f]+\.css)"')


def get(server, path, **headers):
    return httpx.get(f"{server.url}{path}", headers=headers)


def workers(server):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(server.pid)], capture_output=True, text=True, check=True)
    return [int(pid) for pid in found.stdout.split()]


def test_the_page_says_what_served_it(server):
    assert re.search(rf"\b{server.mode}\b", get(server, "/").text.split("<footer")[1])


@pytest.mark.parametrize("host", ["localhost", "evil.example", "10.1.2.3", ""])
def test_probes_are_answered_whatever_the_host(server, host):
    assert get(server, "/healthz/live", Host=host).status_code == 200
    assert get(server, "/healthz/ready", Host=host).status_code == 200


def test_readiness_names_the_mode_and_each_dependency(server):
    assert get(server, "/healthz/ready").json() == {
        "status": "ready",
        "mode": server.mode,
        "slot": None,
        "revision": None,
        "dependencies": {"database": "ok"},
    }


def test_an_unknown_host_is_answered_400(server):
    assert get(server, "/", Host="evil.example").status_code == 400


def test_nobody_is_believed_to_be_behind_a_proxy(server):
    response = get(server, "/accounts/login/", **{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"})
    assert response.status_code == 200
    assert "Secure" not in response.headers["Set-Cookie"]


def test_a_body_over_the_limit_is_answered_413(server):
    with server.member() as member:
        response = member.send("/accounts/logout/", {"next": "x" * 1_100_000})
    assert response.status_code == 413


def test_hashed_static_files_are_compressed_and_kept_for_good(server):
    path = asset.search(get(server, "/").text)[1]
    response = get(server, path, **{"Accept-Encoding": "gzip"})
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/css")
    assert response.headers["Content-Encoding"] == "gzip"
    assert "immutable" in response.headers["Cache-Control"]
    assert "color" in response.text


def test_a_static_file_that_has_not_changed_is_answered_304(server):
    path = asset.search(get(server, "/").text)[1]
    modified = get(server, path).headers["Last-Modified"]
    assert get(server, path, **{"If-Modified-Since": modified}).status_code == 304


def test_a_part_of_a_static_file_is_answered_206(server):
    path = asset.search(get(server, "/").text)[1]
    whole = get(server, path, **{"Accept-Encoding": "identity"})
    part = get(server, path, **{"Accept-Encoding": "identity", "Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])


def test_static_files_can_be_asked_for_by_head_and_not_by_post(server):
    path = asset.search(get(server, "/").text)[1]
    head = httpx.head(f"{server.url}{path}")
    assert (head.status_code, head.content) == (200, b"")
    assert httpx.post(f"{server.url}{path}").status_code == 405


@pytest.mark.parametrize(
    "path",
    ["/static/nothing.css", "/static/", "/static/..%2f..%2fmanage.py", "/static/%2e%2e/settings.py", "/static/%00"],
)
def test_what_is_no_static_file_is_answered_404(server, path):
    assert get(server, path).status_code == 404


@pytest.mark.modes("asgi")
@pytest.mark.parametrize("path", ["/", "/live/notes/changes", "/live/", "/static/nothing"])
def test_a_websocket_where_there_is_none_is_answered_404(server, path):
    with pytest.raises(InvalidStatus) as refusal:
        connect(server.url.replace("http", "ws", 1) + path)
    assert refusal.value.response.status_code == 404


def test_a_killed_worker_is_replaced_and_nothing_is_lost(server):
    with server.member() as member:
        os.kill(workers(server)[0], signal.SIGKILL)
        for _ in range(150):
            try:
                # Still signed in: the account and the session are there.
                if member.name in member.client.get("/").text:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    raise AssertionError(f"The server did not come back within 15 s:\n{server.log.read_text()}")


def test_no_request_left_a_traceback_in_the_log(server):
    assert "Traceback" not in server.log.read_text()


def make(target, folder, **variables):
    """Run a make target with a short life, in a copy of the repository's files."""
    return subprocess.run(
        ["make", target],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_taken_port_is_one_sentence_before_anything_is_made(server):
    port = server.url.rsplit(":", 1)[1]
    result = make("run-wsgi", ROOT, PORT=port)
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == (
        f"Port {port} can't be used (Address already in use): stop what uses it, or choose another: PORT=8001 make …"
    )


def test_a_wrong_port_is_one_sentence():
    result = make("run-wsgi", ROOT, PORT="http")
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == "PORT='http' is wrong: expected a port number, 1 to 65535."


def test_a_wrong_setting_stops_the_server_before_anything_is_made(tmp_path):
    result = make("run-wsgi", ROOT, PORT=str(free_port()), WEB_CONCURRENCY="many")
    assert result.returncode != 0
    assert "WEB_CONCURRENCY='many' is wrong" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("target", ["run-wsgi", "run-asgi"])
def test_make_serves_a_copy_of_the_repository(target, tmp_path):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    port = free_port()
    process = subprocess.Popen(
        ["make", target],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PORT": str(port)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        mode = target.removeprefix("run-")
        assert (
            process.stdout.readline() == f"wisheasy is up in {mode} mode: http://localhost:{port} (Ctrl+C stops it)\n"
        )
        wait_until_answered(f"http://localhost:{port}/")
    finally:
        # As Ctrl+C does.
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=40)


def wait_until_answered(address):
    for _ in range(150):
        try:
            assert httpx.get(address).status_code == 200
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{address} is not answered within 15 s.")


def test_make_alone_lists_every_command_of_the_makefile():
    listed = make("help", ROOT).stdout
    targets = " ".join(re.findall(r"^\.PHONY: (.*)$", Path(ROOT / "Makefile").read_text(), re.MULTILINE)).split()
    assert [target for target in targets if not re.search(rf"\b{target}\b", listed)] == []
