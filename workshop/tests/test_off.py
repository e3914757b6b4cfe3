"""What is off costs nothing: no process, no thread, no port and no query."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from kit.serving.modes import MODES
from workshop.tests.servers import EMBEDDED_MODES, ROOT, serve
from workshop.tests.test_figures import children

OFF = {"WORKER_PROCESSES": "0", "METRICS": "0", "SENTRY_DSN": "", "EMAIL_URL": ""}


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def ports(*pids):
    """Where these processes listen."""
    opened = {os.readlink(path) for pid in pids for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [line for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in opened]
    return {int(line[1].partition(":")[2], 16) for line in listening}


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_what_is_off_has_no_process_no_thread_and_no_port(mode, tmp_path):
    with serve(mode, tmp_path, **OFF) as server:
        with ThreadPoolExecutor(20) as visitors:
            pages = list(visitors.map(lambda _: httpx.get(f"{server.url}/accounts/login/", timeout=30), range(60)))
        assert {page.status_code for page in pages} == {200}
        [worker] = children(server.pid)
        # Its own, and those that answer.
        assert threads(server.pid) == 1
        assert threads(worker) <= 1 + MODES[mode].pages.threads
        assert ports(server.pid, worker) == {httpx.URL(server.url).port}


@pytest.mark.django_db
@pytest.mark.parametrize("client", [Client, AsyncClient], ids=["wsgi", "asgi"])
def test_a_plain_page_asks_the_database_nothing(client, django_assert_num_queries):
    get = async_to_sync(client().get) if client is AsyncClient else client().get
    with django_assert_num_queries(0):
        assert get("/accounts/login/").status_code == 200


def test_what_is_off_is_not_loaded():
    packages = ["sentry_sdk", "prometheus_client", "allauth.mfa", "allauth.socialaccount", "storages", "smtplib"]
    code = f"import sys, django; django.setup(); print([name for name in {packages} if name in sys.modules])"
    environment = {**os.environ, **OFF, "DJANGO_SETTINGS_MODULE": "wisheasy.settings"}
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert loaded == "[]\n"
