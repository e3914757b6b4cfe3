import importlib.util
import shutil
import time
from contextlib import suppress

import httpx
import pytest
from django.db import connection

from tests.servers import EMBEDDED_MODES, ROOT, serve


@pytest.fixture
def configuration():
    spec = importlib.util.spec_from_file_location("gunicorn_conf", ROOT / "gunicorn.conf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.django_db(transaction=True)
def test_no_connection_of_the_master_reaches_a_worker(configuration):
    connection.ensure_connection()
    configuration.pre_fork(None, None)
    assert connection.connection is None
    assert getattr(connection, "pool", None) is None


def test_gunicorn_opens_no_control_socket_and_trusts_no_proxy(configuration):
    assert configuration.control_socket_disable is True
    assert configuration.forwarded_allow_ips == ""


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_a_changed_file_is_read_again_where_debug_is_on(tmp_path, mode):
    root = tmp_path / "project"
    for name in ("wisheasy", "apps", "manage.py", "gunicorn.conf.py"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        root.mkdir(exist_ok=True)
        copy(ROOT / name, root / name)
    with serve(mode, tmp_path, root, DEBUG="1") as server:
        health = root / "apps" / "ops" / "health.py"
        changed = health.read_text().replace('"alive\\n"', '"changed\\n"')
        for second in range(15):
            # Again and again: the reloader takes what it finds in its first look for the state of things.
            health.write_text(f"{changed}# {second}\n")
            time.sleep(1)
            with suppress(httpx.TransportError):
                if httpx.get(f"{server.url}/healthz/live").text == "changed\n":
                    return
    raise AssertionError(server.log.read_text())
