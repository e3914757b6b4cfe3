"""`make dev-docker` with the tools of a Mac, in the mode that has both servers: what is edited is seen through Nginx,
and Ctrl+C ends it."""

import os
import signal
import subprocess
import time

import httpx
import pytest

from workshop.tests.busybox import tools
from workshop.tests.servers import Server, copy_of_the_clone, free_port

from .conftest import BASE

PROJECT = "wisheasy-e2e"
# Seconds. It takes one or two on a machine that has nothing else to do.
SOON = 30


def docker(*command):
    return subprocess.run(["docker", *command], capture_output=True, text=True, check=True).stdout.split()


def listed(*command):
    return docker(*command, "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}-dev")


@pytest.fixture
def dev(tmp_path):
    folder = copy_of_the_clone(tmp_path / "clone")
    server = Server("hybrid", f"http://localhost:{free_port()}", tmp_path / "dev.log")
    environment = {
        **BASE,
        "PATH": str(tools(tmp_path / "bin", "docker")),
        "COMPOSE_PROJECT_NAME": PROJECT,
        "SERVER_MODE": server.mode,
        "PORT": server.url.rsplit(":", 1)[1],
    }
    with server.log.open("w") as output:
        process = subprocess.Popen(
            ["make", "dev-docker"], cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    server.folder, server.process = folder, process
    try:
        assert becomes(server, "/", "<body", 240), server.log.read_text()[-6000:]
        yield server
    finally:
        stop(process)
        for volume in listed("volume", "ls"):
            docker("volume", "rm", volume)


def stop(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)


def becomes(server, path, text, seconds=SOON):
    begin = time.monotonic()
    while time.monotonic() - begin < seconds and server.process.poll() is None:
        try:
            if text in httpx.get(f"{server.url}{path}", timeout=SOON).text:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    return False


def test_what_is_edited_is_seen_through_nginx_and_ctrl_c_ends_it(dev, figures):
    def edit(name, change):
        path = dev.folder / name
        path.write_text(change(path.read_text()))

    edit("wisheasy/templates/bare.html", lambda text: text.replace("<body", "<body data-edited"))
    assert becomes(dev, "/", "<body data-edited")
    edit("wisheasy/static/wisheasy/style.css", lambda text: f"{text}\n.edited {{ color: red }}\n")
    assert becomes(dev, "/static/wisheasy/style.css", ".edited")
    view = "lambda request: __import__('django.http').http.HttpResponse('just now')"
    begin = time.monotonic()
    edit(
        "wisheasy/urls.py",
        lambda text: f"{text}\nurlpatterns[:0] = [path(each, {view}) for each in ('edited', 'live/edited')]\n",
    )
    # By WSGI, and by ASGI beside it.
    assert becomes(dev, "/edited", "just now")
    assert becomes(dev, "/live/edited", "just now")
    figures.append(
        f"{time.monotonic() - begin:.1f} s from an edited view to its answer through Nginx, under make dev-docker"
    )

    ready = httpx.get(f"{dev.url}/healthz/ready", timeout=SOON).json()
    assert ready["dependencies"] == {"database": "ok", "redis": "ok"}
    stop(dev.process)
    assert listed("ps", "--all") == []
    assert listed("volume", "ls") != []
