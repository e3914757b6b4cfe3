"""`make dev`, in a copy of the repository: whatever is edited is in the next answers."""

import os
import signal
import subprocess
import time

import httpx
import pytest

from workshop.tests.servers import EMBEDDED_MODES, ROOT, Server, copy_of_the_clone, free_port, wait_until_ready

# Seconds. It takes one or two on a machine that has nothing else to do.
SOON = 15


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def dev(request, tmp_path_factory):
    folder = copy_of_the_clone(tmp_path_factory.mktemp(f"dev-{request.param}"))
    (folder / ".venv").symlink_to(ROOT / ".venv")
    server = Server(request.param, f"http://localhost:{free_port()}", folder / "server.log")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "SERVER_MODE": server.mode,
        "PORT": server.url.rsplit(":", 1)[1],
    }
    with server.log.open("w") as output:
        process = subprocess.Popen(
            ["make", "dev"], cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    server.folder = folder
    try:
        wait_until_ready(server, process)
        yield server
    finally:
        # Ctrl+C
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=20)


def becomes(text, read, *arguments):
    """Is this text in what `read` returns, within seconds?"""
    begin = time.monotonic()
    while time.monotonic() - begin < SOON:
        if text in read(*arguments):
            return True
        time.sleep(0.1)
    return False


def page(server, path):
    try:
        return httpx.get(f"{server.url}{path}", timeout=SOON).text
    except (httpx.RemoteProtocolError, httpx.ReadError):
        # A server that is replaced ends what it has just accepted.
        return ""


def test_an_edited_template_is_seen(dev):
    template = dev.folder / "wisheasy/templates/base.html"
    assert becomes("<main", page, dev, "/accounts/login/")
    template.write_text(template.read_text().replace("<main", "<main data-edited"))
    assert becomes("<main data-edited", page, dev, "/accounts/login/")


def test_an_edited_style_sheet_is_seen(dev):
    with (dev.folder / "wisheasy/static/wisheasy/style.css").open("a") as sheet:
        sheet.write(".edited { color: red }\n")
    assert becomes(".edited", page, dev, "/static/wisheasy/style.css")


def test_an_edited_view_is_seen_also_after_mistakes(dev):
    urls = dev.folder / "wisheasy/urls.py"
    before = urls.read_text()

    def edit(line):
        urls.write_text(
            f"{before}\n\ndef edited(request):\n    from django.http import HttpResponse\n\n    {line}\n\n\n"
            'urlpatterns.insert(0, path("edited", edited))\n'
        )

    edit('return HttpResponse("first")')
    assert becomes("first", page, dev, "/edited")
    edit("return nothing")
    assert becomes("NameError", page, dev, "/edited")
    edit('return HttpResponse("second"')
    assert becomes("SyntaxError", dev.log.read_text)
    edit('return HttpResponse("third")')
    assert becomes("third", page, dev, "/edited")


@pytest.mark.parametrize("file", ["apps/accounts/models.py", "wisheasy/settings.py"])
def test_a_project_that_cannot_be_loaded_says_so_and_is_served_again_once_it_can(dev, file):
    path = dev.folder / file
    before = path.read_text()
    path.write_text(f"{before}\nimport missing_{path.stem}\n")
    assert becomes(f"No module named 'missing_{path.stem}'", dev.log.read_text)
    assert becomes("The project can't be loaded", page, dev, "/accounts/login/")
    path.write_text(before)
    assert becomes("<main", page, dev, "/accounts/login/")
