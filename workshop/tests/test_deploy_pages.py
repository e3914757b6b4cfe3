"""deploy/port-only.md and deploy/managed-postgresql.md: what can be tried of them without Docker."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from kit.ops import health
from kit.ops.checks import RESERVED_CONNECTIONS
from kit.serving.modes import MODES
from workshop.tests.recipes import blocks, text, variables
from workshop.tests.servers import ROOT, serve

PROBE = {"DJANGO_SETTINGS_MODULE": "workshop.probe.settings"}

# --- port-only.md ---


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The server that the page describes, with this machine for the platform's proxy."""
    given = {name: value for name, value in variables(blocks("port-only.md", "ini")[0]).items() if value}
    given["FORWARDED_ALLOW_IPS"] += ",127.0.0.0/8"
    with serve(given.pop("SERVER_MODE"), tmp_path_factory.mktemp("alone"), **PROBE, **given) as server:
        server.site = given["SITE_URL"]
        yield server


def ask(server, path, **headers):
    headers = {"Host": server.site.split("//")[1], "X-Forwarded-Proto": "https", **headers}
    return httpx.get(f"{server.url}{path}", headers=headers)


def test_on_a_port_alone_health_is_answered_by_http_under_any_host(alone):
    assert httpx.get(f"{alone.url}/healthz/ready", headers={"Host": "10.1.2.3:8080"}).json()["status"] == "ready"


def test_on_a_port_alone_a_page_comes_with_its_files_where_the_proxy_says_https(alone):
    page = ask(alone, "/")
    assert page.status_code == 200
    style = ask(alone, re.search(r'href="(/static/[^"]+\.css)"', page.text)[1])
    assert (style.status_code, style.headers["Content-Encoding"]) == (200, "gzip")
    assert "immutable" in style.headers["Cache-Control"]
    redirect = ask(alone, "/", **{"X-Forwarded-Proto": "http"})
    assert (redirect.status_code, redirect.headers["Location"]) == (301, f"{alone.site}/")


def test_on_a_port_alone_the_visitor_is_whom_the_proxy_has_seen_and_not_whom_he_claims_to_be(alone):
    command, _ = blocks("port-only.md", "sh")[1].splitlines()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    proof = subprocess.run(
        ["sh", "-euc", f'{command}; echo "$proof"'],
        cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    proven = {health.PROOF_HEADER: proof, "X-Forwarded-For": "198.51.100.1, 203.0.113.7, 10.1.2.3"}
    assert ask(alone, "/healthz/ready", **proven).json()["request"]["client"] == "203.0.113.7"


def test_on_a_port_alone_there_are_websockets(alone):
    with connect(alone.socket_url("?after=0"), origin=alone.site) as websocket:
        assert "cursor" in json.loads(websocket.recv(timeout=10))


# --- managed-postgresql.md ---

PLANS = re.findall(r"^\| (\d+.*?) \|(.+)\|(.+)\|(.+)\|$", text("managed-postgresql.md"), re.MULTILINE)


@pytest.mark.parametrize("plan", PLANS, ids=[plan[0] for plan in PLANS])
def test_so_many_workers_fit_into_a_plan_and_no_more(plan):
    jobs = int((re.search(r"WORKER_THREADS=(\d+)", plan[0]) or [0, 4])[1]) + 2
    of_a_version = (int(re.match(r"\d+", plan[0])[0]) - RESERVED_CONNECTIONS) // 2
    for cell, name in zip(plan[1:], ("asgi", "wsgi", "hybrid"), strict=True):
        threads = re.search(r"WEB_THREADS=(\d+)", cell)
        mode = MODES[name].with_threads(int(threads[1])) if threads else MODES[name]
        of_one = sum(server.threads for server in mode.servers())
        workers = int(re.search(r"\d+", cell)[0])
        assert workers == (of_a_version - jobs) // of_one
