"""What an owner may put into asgi.py and wsgi.py: of `application` nothing is asked but to be called."""

import os
import subprocess
import sys
import time

import httpx
import pytest
from websockets.sync.client import connect

from workshop.tests.servers import EMBEDDED_MODES, ROOT, free_port, serve

BASES = {
    "wsgi": "from wisheasy.wsgi import application\n",
    "asgi": "from wisheasy.asgi import application\n",
}
WRAPPERS = {
    "wsgi": '''
class Wrapper:
    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        def start(status, headers, *rest):
            return start_response(status, [*headers, ("X-Wrapped", "yes")], *rest)

        return self.application(environ, start)
''',
    # Not a coroutine function, and nothing but a callable: Uvicorn would guess that it is of ASGI 2.
    "asgi": '''
class Wrapper:
    __slots__ = ("application",)

    def __init__(self, application):
        self.application = application

    def __call__(self, scope, receive, send):
        async def send_wrapped(message):
            if message["type"] in ("http.response.start", "websocket.accept"):
                message = {**message, "headers": [*message.get("headers", ()), (b"x-wrapped", b"yes")]}
            await send(message)

        return self.application(scope, receive, send_wrapped)
''',
}  # fmt: skip
# A framework beside Django, with a lifespan that fails where the last line says so.
BESIDE = """
import logging
import threading
from asgiref.sync import sync_to_async
from django.db import transaction
from apps.accounts.models import User

django = application
FAILS = False


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if FAILS:
            return await send({"type": "lifespan.startup.failed", "message": "The other one does not start."})
        await send({"type": "lifespan.startup.complete"})
        logging.getLogger("beside").info("It has started.")
        await receive()
        logging.getLogger("beside").info("It has ended.")
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http" and scope["path"] == "/beside":
        def query():
            return f"{User.objects.count()} {threading.current_thread().name} {transaction.get_autocommit()}"

        # What one call leaves on its thread, the next one finds; and no other request.
        await sync_to_async(transaction.set_autocommit)(False)
        body = (await sync_to_async(query)()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    else:
        await django(scope, receive, send)
"""
# Which handler serves, and how long connections are kept.
HANDLER = """
import gc

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler

project = application
handler = next(each for each in gc.get_objects() if isinstance(each, ASGIHandler))


async def application(scope, receive, send):
    if scope.get("path") != "/handler":
        return await project(scope, receive, send)
    body = f"{type(handler).__name__} {settings.DATABASES['default']['CONN_MAX_AGE']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


def settings_with(folder, mode, text, name="shop_application.application"):
    """Variables for a server whose `application` is what `text` makes of the project's."""
    (folder / "shop_application.py").write_text(BASES[mode] + text)
    (folder / "shop_settings.py").write_text(
        f"from workshop.probe.settings import *\n\nWSGI_APPLICATION = ASGI_APPLICATION = {name!r}\n"
    )
    return {"DJANGO_SETTINGS_MODULE": "shop_settings", "PYTHONPATH": f"{folder}:{ROOT}"}


@pytest.mark.parametrize("stock", ["0", "1"], ids=["ours", "stock"])
@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_an_application_that_is_wrapped_is_served(mode, stock, tmp_path):
    variables = settings_with(tmp_path, mode, f"{WRAPPERS[mode]}\n\napplication = Wrapper(application)\n")
    with serve(mode, tmp_path, **variables, STOCK_ASGI=stock) as server:
        answer = httpx.get(f"{server.url}/")
        assert (answer.status_code, answer.headers["X-Wrapped"]) == (200, "yes")
        assert len(answer.headers.get_list("X-Request-ID")) == 1
        if server.pushes:
            with connect(server.socket_url()) as socket:
                assert socket.response.headers["X-Wrapped"] == "yes"
                assert '"changes":[]' in socket.recv()
        begin = time.monotonic()
    # An open page does not hold it.
    assert time.monotonic() - begin < 10


def test_a_framework_beside_django_is_told_of_the_start_and_the_end_and_queries_on_the_bounded_threads(tmp_path):
    with serve("asgi", tmp_path, **settings_with(tmp_path, "asgi", BESIDE), WEB_THREADS="1") as server:
        assert {httpx.get(f"{server.url}/beside").text for _ in range(5)} == {"0 sync-1 False"}
        assert httpx.get(f"{server.url}/accounts/login/").status_code == 200
    said = [line for line in server.log.read_text().splitlines() if '"beside"' in line]
    assert ["started" in line for line in said] == [True, False]


def test_under_a_django_that_was_not_compared_its_own_handler_serves_and_a_line_says_so(tmp_path):
    (tmp_path / "newer.py").write_text(
        "import kit.serving\n\nkit.serving.COMPARED_WITH = {'django': ('5.2',)}\n\n"
        "from workshop.probe.settings import *\n"
    )
    (tmp_path / "shop_application.py").write_text(f"{BASES['asgi']}{HANDLER}")
    (tmp_path / "newer_settings.py").write_text(
        "from newer import *\n\nASGI_APPLICATION = 'shop_application.application'\n"
    )
    variables = {"DJANGO_SETTINGS_MODULE": "newer_settings", "PYTHONPATH": f"{tmp_path}:{ROOT}", "STOCK_ASGI": "0"}
    with serve("asgi", tmp_path, **variables) as server:
        assert httpx.get(f"{server.url}/handler").text == "ASGIHandler 0"
        assert httpx.get(f"{server.url}/accounts/login/").status_code == 200
    assert "ops.W006" in server.log.read_text()


def end_of(folder, mode, text, name="shop_application.application", **variables):
    """The end of a server whose `application` can't be served."""
    return subprocess.run(
        [sys.executable, "-m", "kit.serving"],
        cwd=ROOT,
        env={
            **os.environ,
            **settings_with(folder, mode, text, name),
            "SERVER_MODE": mode,
            "PORT": str(free_port()),
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


# In each mode, and with one thread, which is another kind of worker.
WORKERS = pytest.mark.parametrize(
    ("mode", "threads"), [("wsgi", "4"), ("wsgi", "1"), ("asgi", "8")], ids=["wsgi", "wsgi-sync", "asgi"]
)


@WORKERS
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise RuntimeError('not today')\n", "not today"),
        ("import not_installed\n", "No module named 'not_installed'"),
        ("class Wrapper:\n    def __init__(self):\n        raise ValueError('no key')\nWrapper()\n", "no key"),
    ],
    ids=["raises", "imports", "wrapper"],
)
def test_an_application_that_fails_to_load_ends_the_server(mode, threads, text, reason, tmp_path):
    result = end_of(tmp_path, mode, text, WEB_THREADS=threads)
    assert result.returncode != 0
    assert reason in result.stderr
    assert "Booting worker" not in result.stderr


@WORKERS
def test_a_worker_that_fails_at_its_start_ends_the_server(mode, threads, tmp_path):
    configuration = tmp_path / "failing.conf.py"
    configuration.write_text(
        f"from runpy import run_path\nglobals().update(run_path({str(ROOT / 'gunicorn.conf.py')!r}))\n"
        "def post_fork(server, worker):\n    raise ValueError('no key')\n"
    )
    result = end_of(tmp_path, mode, "", WEB_THREADS=threads, GUNICORN_CMD_ARGS=f"--config {configuration}")
    assert result.returncode != 0
    assert "no key\n" in result.stderr
    assert result.stderr.count("Booting worker") == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BESIDE.replace("FAILS = False", "FAILS = True"), "The other one does not start."),
        ("import kit.serving.asgi\n\nkit.serving.asgi.start = None\n", "This worker can't start."),
    ],
    ids=["lifespan", "worker"],
)
def test_what_fails_on_the_event_loop_before_it_serves_ends_the_server(text, reason, tmp_path):
    result = end_of(tmp_path, "asgi", text)
    assert result.returncode != 0
    assert reason in result.stderr
    assert result.stderr.count("Booting worker") == 1


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("application = None\n", "Failed to find application object: 'application'."),
        ("application = 7\n", "Application object must be callable."),
        ("del application\n", "Failed to find attribute 'application' in 'shop_application'."),
    ],
    ids=["none", "no callable", "nothing"],
)
def test_an_application_that_is_none_is_one_sentence(mode, text, reason, tmp_path):
    result = end_of(tmp_path, mode, text)
    assert result.returncode != 0
    setting = f"{mode.upper()}_APPLICATION='shop_application.application' is wrong: {reason}"
    assert result.stderr.splitlines()[-1] == setting
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_a_setting_that_names_no_application_is_one_sentence(mode, tmp_path):
    result = end_of(tmp_path, mode, "", name="shop.wsgi.application")
    assert result.stderr.splitlines()[-1] == (
        f"{mode.upper()}_APPLICATION='shop.wsgi.application' is wrong: No module named 'shop'."
    )
    assert "Traceback" not in result.stderr
