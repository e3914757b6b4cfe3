"""What the stack answers in each mode, asked from outside through Nginx."""

import hashlib
import json
import re
import time
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from kit import files
from kit.serving.modes import MODES

from .conftest import eventually
from .test_jobs import shell

PICTURE = bytes(range(256)) * 2000

# As whom and where the cache is kept, and its keys.
KEPT = """
from django.core.cache import cache
client = cache._cache.get_client()
kept = client.connection_pool.connection_kwargs
print(f"{kept['username']}/{kept['db']}", *(key.decode() for key in client.scan_iter("cache:*")))
"""
# The threads of Gunicorn's master and of each worker, how many workers there may be, and the ports they listen on.
COUNT = """
import json
from pathlib import Path
from django.conf import settings
commands = {int(path.parent.name): path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")}
numbers = [number for number, command in commands.items() if command.endswith(b"-m\\0kit.serving\\0")]
threads = [len(list(Path(f"/proc/{number}/task").iterdir())) for number in sorted(numbers) if number > 1]
lines = Path("/proc/net/tcp").read_text().splitlines()[1:] + Path("/proc/net/tcp6").read_text().splitlines()[1:]
# Docker's own names are answered at 127.0.0.11.
open_ports = [line.split()[1] for line in lines if line.split()[3] == "0A" and "0B00007F" not in line]
ports = sorted({int(address.rpartition(":")[2], 16) for address in open_ports})
print(json.dumps([threads, settings.WORKERS, ports]))
"""


def get(stack, path, **headers):
    return httpx.get(f"{stack.url}{path}", headers=headers, timeout=30)


def test_the_services_are_those_of_the_mode(stack):
    servers = {f"web-{stack.slot()}"} | ({f"live-{stack.slot()}"} if stack.mode == "hybrid" else set())
    servers.add(f"worker-{stack.slot()}")
    assert set(stack.services()) == servers | {"nginx", "waiting-room", "postgres", "redis", "backup"}


def test_the_page_says_which_mode_served_it(stack):
    page = get(stack, "/probe/").text
    assert f"in {stack.mode} mode; this page was made through {MODES[stack.mode].pages.interface}." in page


def test_the_page_of_the_project_is_there(stack):
    assert get(stack, "/").status_code == 200


def test_readiness_names_the_mode_the_revision_and_each_dependency(stack):
    response = get(stack, "/healthz/ready")
    assert response.status_code == 200
    answer = response.json()
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", answer.pop("revision"))
    assert answer == {
        "status": "ready",
        "mode": stack.mode,
        "slot": stack.slot(),
        "dependencies": {"database": "ok", "redis": "ok"},
    }


@pytest.mark.parametrize("host", ["localhost", "evil.example", "10.1.2.3"])
def test_liveness_is_answered_whatever_the_host(stack, host):
    assert get(stack, "/healthz/live", Host=host).status_code == 200


def test_an_unknown_host_is_turned_away(stack):
    assert get(stack, "/", Host="evil.example").status_code == 421


def test_the_admin_asks_to_sign_in(stack):
    assert get(stack, "/admin/login/?next=/admin/").headers["Location"] == "/accounts/login/?next=%2Fadmin%2F"
    response = get(stack, "/accounts/login/?next=/admin/")
    assert response.status_code == 200
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', response.text):
        assert get(stack, path).status_code == 200, path


def test_a_post_is_live_until_its_owner_deletes_it(stack):
    with stack.poster() as owner, stack.poster() as other:
        number = owner.post("all the way")
        assert get(stack, "/live/probe/changes?after=0").json()["changes"][-1]["html"].count("all the way") == 1
        assert other.send(f"/probe/{number}/delete", page="/probe/").status_code == 403
        assert owner.send(f"/probe/{number}/delete", page="/probe/").status_code == 200
        assert get(stack, "/live/probe/changes?after=0").json()["changes"][-1] == {"id": str(number), "html": None}
        assert owner.send(f"/probe/{number}/delete", page="/probe/").status_code == 404


def test_posts_made_in_earlier_modes_are_still_there(stack):
    stack.post(f"made in {stack.mode} mode")
    stack.assert_no_post_is_lost()


def test_writes_without_signing_in_are_refused(stack):
    with stack.client() as stranger:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', stranger.get("/probe/").text)[1]
        response = stranger.post("/probe/", data={"text": "no", "csrfmiddlewaretoken": token})
    assert response.status_code == 403


def test_a_file_of_almost_the_limit_arrives_whole(stack):
    content = bytes(range(256)) * 4000
    with stack.client() as client:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/probe/").text)[1]
        response = client.post("/probe/upload", data={"csrfmiddlewaretoken": token}, files={"file": ("a", content)})
    assert response.json() == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize(
    "name", ["me.png", "a.html", "a.svg", "../../x.php.jpg", "\u202egnp.exe", ".htaccess"], ids=ascii
)
def test_a_visitors_file_is_served_as_without_nginx(stack, name):
    with stack.poster() as poster:
        url = poster.keep(name, PICTURE).json()["url"]
    assert re.fullmatch(r"/media/probe/[\w-]{22}(\.[a-z]+)?", url)
    shown = get(stack, url)
    assert shown.content == PICTURE
    assert {header: shown.headers.get(header) for header in files.headers(url)} == files.headers(url)
    assert ("Content-Disposition" in shown.headers) is not url.endswith((".png", ".jpg"))


def test_a_private_file_is_sent_to_its_owner_alone(stack):
    with stack.poster() as poster, stack.poster() as other:
        kept = poster.keep("invoice.pdf", PICTURE, private="1").json()
        address = f"/probe/private/{kept['name'].rpartition('/')[2]}"
        for path in (kept["url"], f"/private-media/{kept['name']}", f"/media/probe/%2e%2e/{kept['name']}", address):
            assert [get(stack, path).status_code, other.client.get(path).status_code] == [404, 404], path
        sent = poster.client.get(address)
    assert (sent.content, sent.headers["Content-Security-Policy"]) == (PICTURE, files.POLICY)
    assert sent.headers["Content-Disposition"] == "attachment"


def test_a_file_over_the_limit_is_answered_413_with_our_page(stack):
    with stack.poster() as poster:
        answer = poster.keep("a.png", b"x" * 11 * 1024 * 1024)
    assert answer.status_code == 413
    assert "too large to send</h1>" in answer.text


def test_a_kind_that_the_form_forbids_is_not_kept(stack):
    with stack.poster() as poster:
        assert poster.keep("a.svg", b"<svg/>", pictures="1").status_code == 422
        assert poster.keep("a.png", PICTURE, pictures="1").status_code == 200


def test_a_page_from_the_cache_is_the_same_for_all_and_in_the_second_database_of_redis(stack):
    with stack.poster() as poster:
        page = poster.client.get("/probe/cached")
    assert page.status_code == 200
    assert get(stack, "/probe/cached").text == page.text
    kept = shell(stack, KEPT).split()
    assert kept[0] == "cache/1"
    assert any(key.startswith("cache:1:views.decorators.cache.cache_page.") for key in kept[1:])


def test_without_redis_the_cache_is_empty_and_no_page_fails(stack):
    stack.compose("stop", "redis")
    try:
        pages = [get(stack, "/probe/cached") for _ in range(2)]
        # Sign-up counts in the cache.
        with stack.member() as member:
            assert member.client.get("/probe/").status_code == 200
    finally:
        stack.compose("start", "redis")
    assert [page.status_code for page in pages] == [200, 200]
    assert pages[0].text != pages[1].text
    eventually(lambda: get(stack, "/probe/cached").text == get(stack, "/probe/cached").text, within=30)
    # The servers' own connection for live pages comes back by and by.
    if stack.mode != "wsgi":
        eventually(lambda: seconds_until_pushed(stack, "Redis is back") < 1, within=60)


def test_what_is_off_has_no_process_and_no_port(stack):
    """Nor a thread, which test_off.py counts: here asyncio has some of its own, that look up names."""
    for service in stack.serving():
        counted = stack.compose("exec", "-T", service, "python", "-c", COUNT).stdout
        (master, *workers), processes, ports = json.loads(counted)
        assert (master, len(workers), ports) == (1, processes, [8000])


def test_a_poll_answers_304_until_there_is_news(stack):
    cursor = get(stack, "/live/probe/changes").json()["cursor"]
    first = get(stack, f"/live/probe/changes?after={cursor}")
    etag = first.headers["ETag"]
    assert get(stack, f"/live/probe/changes?after={cursor}", **{"If-None-Match": etag}).status_code == 304
    stack.post("news")
    assert "news" in get(stack, f"/live/probe/changes?after={cursor}", **{"If-None-Match": etag}).text


def test_a_bad_cursor_is_answered_400_with_what_a_good_one_is(stack):
    response = get(stack, "/live/probe/changes?after=x")
    assert response.status_code == 400
    assert "after=42" in response.json()["error"]


@pytest.mark.modes("wsgi")
@pytest.mark.parametrize("path", ["ws", "events"])
def test_a_push_is_answered_426_with_what_to_do(stack, path):
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"} if path == "ws" else {}
    response = get(stack, f"/live/probe/{path}", **upgrade)
    assert response.status_code == 426
    assert "make up-asgi" in response.text


@pytest.mark.modes("asgi", "hybrid")
def test_the_websocket_pushes_within_a_second(stack):
    assert seconds_until_pushed(stack, "over the socket") < 1


def seconds_until_pushed(stack, text):
    with connect(stack.socket_url()) as socket, stack.poster() as poster:
        socket.recv(timeout=5)
        poster.post(text)
        posted = time.monotonic()
        assert text in socket.recv(timeout=10)
        return time.monotonic() - posted


@pytest.mark.modes("asgi", "hybrid")
def test_the_event_stream_is_not_buffered_on_the_way(stack):
    with httpx.stream("GET", f"{stack.url}/live/probe/events", timeout=10) as response, stack.poster() as poster:
        lines = response.iter_lines()
        assert next(lines).startswith("id: ")
        poster.post("over the stream")
        posted = time.monotonic()
        assert any("over the stream" in line for line in lines)
        assert time.monotonic() - posted < 1


def test_an_event_stream_of_an_application_arrives_as_it_is_made(stack):
    with httpx.stream("GET", f"{stack.url}/probe/stream", timeout=10) as response:
        moments = [time.monotonic() for line in response.iter_lines() if line.startswith("data: ")]
    assert len(moments) == 5
    assert moments[-1] - moments[0] > 1.5


@pytest.mark.modes("asgi", "hybrid")
@pytest.mark.parametrize("name", ["echo", "channels"])
def test_websockets_of_an_application_are_served_beside_the_live_ones(stack, name):
    def echoes():
        # Only with the first message does Channels notice that Redis has restarted; pages connect again.
        with (
            suppress(ConnectionClosed, InvalidStatus),
            connect(stack.socket_url(topic="lab").replace("/ws", f"/{name}")) as socket,
        ):
            socket.send("to itself")
            return socket.recv(timeout=5) == "to itself"

    eventually(echoes)


@pytest.mark.modes("asgi")
def test_a_websocket_stays_open_for_longer_than_a_minute_of_silence(stack):
    silent, begin = stack.silent
    time.sleep(max(0, begin + 61 - time.monotonic()))
    assert silent.ping().wait(5)


@pytest.mark.modes("asgi", "hybrid")
@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:1"])
def test_a_websocket_from_a_foreign_page_is_refused_and_named_in_the_log(stack, origin):
    with pytest.raises(InvalidStatus) as refusal:
        connect(stack.socket_url(), origin=origin)
    assert refusal.value.response.status_code == 403
    assert origin in stack.compose("logs", *stack.serving()).stdout


def test_static_files_are_hashed_compressed_and_kept_for_good(stack):
    path = re.search(r'href="(/static/lab/lab\.[0-9a-f]+\.css)"', get(stack, "/lab/").text)[1]
    response = get(stack, path, **{"Accept-Encoding": "gzip"})
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/css")
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert get(stack, path, **{"If-None-Match": response.headers["ETag"]}).status_code == 304
    assert "color" in response.text


def test_the_lab_is_served_with_its_files(stack):
    files = re.findall(r'(?:href|src)="(/static/lab/[^"]+)"', get(stack, "/lab/").text)
    assert len(files) == 2
    assert {get(stack, file).status_code for file in files} == {200}


@pytest.mark.parametrize("path", ["/static/nothing.css", "/static/", "/static/..%2f..%2fmanage.py", "/static/%00"])
def test_what_is_no_static_file_is_refused(stack, path):
    assert get(stack, path).status_code in (400, 404)


def test_a_body_over_the_limit_is_answered_413(stack):
    with stack.poster() as poster:
        assert poster.send("/probe/", {"text": "x" * 1_100_000}, page="/probe/").status_code == 413


def test_a_client_cannot_claim_to_be_behind_a_proxy(stack):
    forged = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "1.2.3.4"}
    response = get(stack, "/probe/", **forged)
    assert response.status_code == 200
    assert "Secure" not in response.headers["Set-Cookie"]
    assert "1.2.3.4" not in stack.compose("logs", "--tail", "20", f"web-{stack.slot()}").stdout


def test_the_deployment_check_is_silent(stack):
    result = stack.compose(
        "exec", "-T", f"web-{stack.slot()}", "python", "manage.py", "check", "--deploy", "--fail-level", "DEBUG"
    )
    assert "no issues" in result.stdout + result.stderr


def test_the_compose_file_gives_no_warning(stack):
    assert stack.run("docker", "compose", "config", "--quiet").stderr == ""


def test_no_migration_is_left_to_run(stack):
    stack.compose("exec", "-T", f"web-{stack.slot()}", "python", "manage.py", "migrate", "--check")


def test_compose_alone_does_the_same_as_make(stack):
    result = stack.run("docker", "compose", "up", "--detach", "--wait")
    made_anew = set(re.findall(rf"{stack.project}-(\S+)-1 +Recreated", result.stderr))
    assert "level=warning" not in result.stderr
    # They run once, each time.
    assert made_anew <= {"migrate", "nginx-files"}
    assert get(stack, "/healthz/ready").json()["mode"] == stack.mode


def test_only_nginx_is_published(stack):
    published = stack.run("docker", "compose", "ps", "--format", "{{.Service}} {{.Publishers}}").stdout
    assert [line.split()[0] for line in published.splitlines() if str(stack.port) in line] == ["nginx"]
    assert published.count("0.0.0.0") <= 1


def test_the_application_adds_at_most_135_mb_to_its_base(stack):
    sizes = [
        int(stack.run("docker", "image", "inspect", "--format", "{{.Size}}", image).stdout)
        for image in (f"{stack.project}:{stack.slot()}", "python:3.13-slim")
    ]
    assert sizes[0] - sizes[1] <= 135 * 1000 * 1000
