"""SENTRY_DSN, with a stand-in for the server that takes the reports."""

import gzip
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from workshop.tests.servers import ROOT, free_port, serve

SETTINGS = """
from workshop.probe.settings import *

ROOT_URLCONF = "reported_views"
"""
VIEWS = """
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from workshop.probe.tasks import fail
from workshop.probe.urls import handler400, handler404, urlpatterns, websocket_urlpatterns


@csrf_exempt
def broken(request):
    typed = request.body
    raise RuntimeError("postgres://shop:s3cret-url@db/shop?token=s3cret-query")


def enqueue(request):
    return HttpResponse(fail.enqueue().id)


urlpatterns = [path("broken", broken), path("enqueue", enqueue), *urlpatterns]
"""
SERVERS = {"wsgi": ("wsgi", {}), "asgi": ("asgi", {}), "stock": ("asgi", {"STOCK_ASGI": "1"})}


@contextmanager
def ingest_at(address):
    class Takes(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            server.taken += [json.loads(line) for line in body.splitlines() if line.startswith(b"{")]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer((address, 0), Takes)
    server.taken = []
    threading.Thread(target=server.serve_forever).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def ingest():
    with ingest_at("127.0.0.1") as server:
        yield server


def reports_of(ingest, text, seconds=15):
    """As soon as there is one. On a busy machine that takes a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := [item for item in ingest.taken if "exception" in item and text in json.dumps(item)]:
            return found
        time.sleep(0.05)
    raise AssertionError([item for item in ingest.taken if "exception" in item])


def visit(server):
    return httpx.request(
        "POST",
        f"{server.url}/broken?q=s3cret-query",
        headers={"Cookie": "sessionid=s3cret-cookie", "Authorization": "Bearer s3cret-header"},
        content="typed=s3cret-body",
        timeout=30,
    )


@pytest.fixture(params=SERVERS)
def serving(request, tmp_path):
    mode, variables = SERVERS[request.param]
    (tmp_path / "reported_settings.py").write_text(SETTINGS)
    (tmp_path / "reported_views.py").write_text(VIEWS)
    variables |= {"DJANGO_SETTINGS_MODULE": "reported_settings", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    return mode, lambda dsn: serve(mode, tmp_path, SENTRY_DSN=dsn, REVISION="abc123", **variables)


def test_a_report_says_what_served_and_holds_no_secret(serving, ingest):
    mode, start = serving
    with start(f"http://key@127.0.0.1:{ingest.server_port}/1") as server:
        assert visit(server).status_code == 500
        [report] = reports_of(ingest, "RuntimeError")
        assert "Errors are reported to 127.0.0.1 (SENTRY_DSN)." in server.log.read_text()
    assert report["exception"]["values"][-1]["type"] == "RuntimeError"
    assert report["tags"] == {"mode": mode, "role": "pages"}
    assert (report["release"], report["environment"]) == ("abc123", "localhost")
    assert "s3cret" not in json.dumps(ingest.taken)


@pytest.mark.parametrize("mode", ["wsgi", "asgi"])
def test_jobs_and_websockets_report_too(mode, tmp_path, ingest):
    impatient = SETTINGS.replace("workshop.probe.settings", "workshop.tests.impatient")
    (tmp_path / "reported_settings.py").write_text(impatient)
    (tmp_path / "reported_views.py").write_text(VIEWS)
    variables = {"DJANGO_SETTINGS_MODULE": "reported_settings", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with serve(mode, tmp_path, SENTRY_DSN=f"http://key@127.0.0.1:{ingest.server_port}/1", **variables) as server:
        httpx.get(f"{server.url}/enqueue", timeout=30).raise_for_status()
        # The last of its attempts.
        [report] = reports_of(ingest, "never", seconds=30)
        assert report["tags"]["mode"] == mode
        assert report["exception"]["values"][-1]["stacktrace"]
        if mode == "asgi":
            address, secret = (
                f"ws{server.url[4:]}/live/probe/own/0?q=s3cret-query",
                {"Cookie": "sessionid=s3cret-cookie"},
            )
            with pytest.raises(InvalidStatus), connect(address, origin=server.url, additional_headers=secret):
                pass
            assert reports_of(ingest, "told to fail")[0]["tags"]["mode"] == mode
    assert "s3cret" not in json.dumps(ingest.taken)


def test_a_server_that_is_away_delays_neither_a_page_nor_the_end(serving):
    _, start = serving
    with start(f"http://key@127.0.0.1:{free_port()}/1") as server:
        began = time.monotonic()
        visit(server)
        assert time.monotonic() - began < 3
        ending = time.monotonic()
    assert time.monotonic() - ending < 10


@pytest.mark.parametrize("dsn", ["ftp://shop@away/1", "https://away/1", "https://shop@away/", "https://shop@away/a"])
def test_a_wrong_dsn_is_refused_by_name_and_not_shown(dsn):
    done = manage(dsn, "check")
    assert done.returncode != 0
    assert "SENTRY_DSN" in done.stderr
    assert dsn not in done.stderr


def test_without_one_the_sdk_is_not_loaded():
    done = manage("", "shell", "-v0", "-c", "import sys; print('sentry_sdk' in sys.modules)")
    assert done.stdout.split() == ["False"]


def manage(dsn, *command):
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "wisheasy.settings", "SENTRY_DSN": dsn}
    return subprocess.run(
        [sys.executable, "manage.py", *command], check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )
