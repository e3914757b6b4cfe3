"""Parts of the stack die and come back: it is ready again by itself, nothing is lost, and open pages catch up."""

import contextlib
import json
import re
import secrets
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from playwright.sync_api import expect

# In asgi mode accidents happen under load (test_releases.py). In hybrid mode pages are those of wsgi mode, but live.
pytestmark = pytest.mark.modes("wsgi", "hybrid")

READY_WITHIN = 15
# A page notices a dead connection at once, and comes back with back-off and jitter.
CAUGHT_UP_WITHIN = 20_000

# Process 1 is the container's init, its child Gunicorn's master, and the master's children the workers.
KILL_A_WORKER = """
import os, signal
from pathlib import Path
for process in Path("/proc").glob("[0-9]*"):
    parent = (process / "stat").read_text().rsplit(")", 1)[1].split()[1]
    if b"kit.serving" in (process / "cmdline").read_bytes() and parent not in "01":
        os.kill(int(process.name), signal.SIGKILL)
        print("killed", process.name)
        break
"""


def kill_a_worker(stack):
    for service in stack.serving():
        assert "killed" in stack.compose("exec", "-T", service, "python", "-c", KILL_A_WORKER).stdout


FAILURES = {
    "restart-of-postgres": lambda stack: stack.compose("restart", "postgres"),
    "restart-of-redis": lambda stack: stack.compose("restart", "redis"),
    "restart-of-nginx": lambda stack: stack.compose("restart", "nginx"),
    "restart-of-the-servers": lambda stack: stack.compose("restart", *stack.serving()),
    "kill-of-a-worker": kill_a_worker,
    "new-containers": lambda stack: stack.compose(
        "up", "--detach", "--wait", "--force-recreate", "--no-deps", *stack.serving()
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_the_stack_is_ready_again_by_itself_and_open_pages_catch_up(stack, new_page, figures, failure):
    page = new_page("/probe/")
    expect(page.locator("[data-live-status]")).to_contain_text("live:")
    stack.post(f"before the {failure} in {stack.mode}")
    FAILURES[failure](stack)
    seconds = stack.seconds_until_ready()
    text = f"after the {failure} in {stack.mode}"
    stack.post(text)
    expect(page.locator("#posts > li", has_text=text)).to_be_visible(timeout=CAUGHT_UP_WITHIN)
    expect(page.locator("#posts > li", has_text=f"before the {failure} in {stack.mode}")).to_be_visible()
    stack.assert_no_post_is_lost()
    figures.append(f"{stack.mode}: ready {seconds:.1f} s after {failure}")
    assert seconds <= READY_WITHIN


def test_without_redis_writes_go_on_and_pages_are_late_by_seconds(stack, new_page):
    page = new_page("/probe/")
    expect(page.locator("[data-live-status]")).to_contain_text("live:")
    stack.compose("stop", "redis")
    try:
        begin = time.monotonic()
        stack.post(f"without Redis in {stack.mode}")
        assert time.monotonic() - begin < 5
        expect(page.locator("#posts > li", has_text=f"without Redis in {stack.mode}")).to_be_visible(timeout=10_000)
        ready = httpx.get(f"{stack.url}/healthz/ready", timeout=10)
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert ready.json()["dependencies"]["redis"].startswith("unreachable")
    finally:
        stack.compose("start", "redis")
    for _ in range(READY_WITHIN * 2):
        if httpx.get(f"{stack.url}/healthz/ready", timeout=10).json()["status"] == "ready":
            break
        time.sleep(0.5)
    else:
        raise AssertionError("still degraded")


def test_without_the_database_readiness_is_503_and_comes_back(stack):
    stack.compose("stop", "postgres")
    try:
        ready = httpx.get(f"{stack.url}/healthz/ready", timeout=30)
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert httpx.get(f"{stack.url}/healthz/live", timeout=10).status_code == 200
    finally:
        stack.compose("start", "postgres")
    assert stack.seconds_until_ready() <= READY_WITHIN
    stack.assert_no_post_is_lost()


def assert_dies_twice_at_most(stack, has_siblings):
    marker = secrets.token_hex(4)

    def page():
        # One of which half was sent is lost.
        with contextlib.suppress(httpx.RemoteProtocolError):
            return client.get("/probe/slow?seconds=0.1").status_code

    with httpx.Client(base_url=stack.url, timeout=60) as client, ThreadPoolExecutor(8) as pool:
        for number, method in enumerate(("GET", "GET", "GET", "HEAD", "POST")):
            pages = [pool.submit(page) for _ in range(4)]
            answer = client.request(method, f"/probe/die/{marker}-{method}-{number}")
            assert answer.status_code == 502
            assert answer.headers["Retry-After"]
            # With a single worker there is no sibling that could have answered.
            assert not has_siblings or {page.result() for page in pages} <= {200, None}
    log = stack.compose("logs", "--no-log-prefix", "--since", "5m", *stack.serving()).stdout
    executed = Counter(re.findall(rf"dies of {marker}-(\w+-\d)", log))
    assert executed.pop("POST-4") == 1
    assert executed.keys() == {"GET-0", "GET-1", "GET-2", "HEAD-3"}
    assert set(executed.values()) <= {1, 2}
    assert stack.seconds_until_ready() <= READY_WITHIN


@pytest.mark.modes("wsgi", "asgi", "hybrid")
def test_what_kills_its_worker_is_executed_twice_at_most_and_takes_no_other_page_with_it(stack):
    assert_dies_twice_at_most(stack, has_siblings=True)


@pytest.mark.modes("asgi")
def test_what_kills_the_only_worker_is_executed_twice_at_most(stack):
    servers = ["up", "--detach", "--wait", "--no-deps", f"web-{stack.slot()}"]
    try:
        stack.compose(*servers, WEB_CONCURRENCY="1")
        assert stack.seconds_until_ready() <= READY_WITHIN
        assert_dies_twice_at_most(stack, has_siblings=False)
    finally:
        stack.compose(*servers)
        stack.seconds_until_ready()


@pytest.mark.modes("wsgi")
def test_a_proxy_in_the_configuration_of_dockers_client_gets_nothing_of_what_is_asked_within_the_stack(stack, tmp_path):
    # Nothing listens there.
    proxy = {"httpProxy": "http://127.0.0.1:9", "httpsProxy": "http://127.0.0.1:9", "noProxy": "*.example.com"}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": {"default": proxy}}))
    proxied = {"DOCKER_CONFIG": str(tmp_path), "NO_PROXY": "search,files"}
    ask = "import urllib.request as u; print(u.urlopen('http://nginx:8080/healthz/live').status, u.getproxies())"
    try:
        # Until it is healthy.
        stack.compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "nginx", **proxied)
        for service, python in (("certificates", "python3"), (f"web-{stack.slot()}", "python")):
            asked = stack.compose(
                "run", "--rm", "--no-deps", "-T", "--entrypoint", python, service, "-c", ask, **proxied
            ).stdout  # fmt: skip
            assert asked.startswith("200 ")
            # What goes out takes it, but for what .env says.
            assert "'https': 'http://127.0.0.1:9'" in asked
            assert "redis,search,files'" in asked
    finally:
        stack.compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "nginx")


def test_with_nothing_behind_it_nginx_answers_a_page_that_says_so(stack):
    servers = stack.serving()
    stack.compose("stop", *servers)
    try:
        response = httpx.get(f"{stack.url}/probe/", timeout=30)
        assert response.status_code in (502, 503, 504)
        assert 'lang="ko"' in response.text
        assert "Retry-After" in response.headers
    finally:
        stack.compose("up", "--detach", "--no-deps", *servers)
    assert stack.seconds_until_ready() <= READY_WITHIN
