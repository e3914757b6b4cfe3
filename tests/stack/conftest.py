"""Starts the stack in a copy of this clone, under another project name and port, so that a running stack, .env and
secrets/ stay untouched. Its mode is that of .env, or E2E_MODE; its name is NAME-e2e, or E2E_PROJECT."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from tests.test_containers import Loader

ROOT = Path(settings.BASE_DIR)
# In Compose's format.
NAME = re.sub("[^a-z0-9]+", "-", ROOT.name.lower()).strip("-") or "project"


class Stack:
    def __init__(self, folder, say):
        self.folder, self.say = folder, say
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
            "COMPOSE_PROJECT_NAME": os.environ.get("E2E_PROJECT") or f"{NAME}-e2e",
            "HTTP_PORT": str(self.port),
            # All requests come from one address.
            **dict.fromkeys(("LIMIT_PAGES", "LIMIT_LIVE"), "0"),
        }

    def run(self, *command, **variables):
        """Run a command and show its output, which is returned."""
        self.say(f"$ {' '.join(command)}")
        lines = []
        with subprocess.Popen(
            command, cwd=self.folder, env=self.environment | variables, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            for line in process.stdout:
                lines.append(line)
                self.say(f"    {line.rstrip()}")
        assert process.returncode == 0, f"{' '.join(command)} failed:\n{''.join(lines)}"
        return "".join(lines)

    def python(self, code):
        """The output of code in the active Django server."""
        slot = self.ready()["slot"]
        return self.run(
            "docker", "compose", "exec", "-T", f"web-{slot}", "python", "manage.py", "shell", "-v0", "-c", code
        )

    def ready(self):
        return json.loads(self.get("/healthz/ready").text)

    def get(self, path, **headers):
        """Nginx's response, with its body as `text`."""
        connection = HTTPConnection("localhost", self.port, timeout=30)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.text = "" if answer.status == 101 else answer.read().decode(errors="replace")
        connection.close()
        return answer


def copy_of_the_clone(folder):
    """Copy the files that Git tracks or would add, and your own variables and secrets, which your settings need."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        # Your release hooks may notify others.
        if (ROOT / name).is_file() and not name.startswith("docker/hooks/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    if (ROOT / "secrets/app").exists():
        shutil.copytree(ROOT / "secrets/app", folder / "secrets/app")

    def said(folder, *command):
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout

    if names := said(ROOT, "docker/read_env", "--own").split():
        own = [name + "=" + said(ROOT, "docker/read_env", name).removesuffix("\n") for name in names]
        said(folder, "docker/configure", *own)


def compose_files(folder):
    """The value of COMPOSE_FILE: the project's files, and one that publishes only Nginx's port."""
    names = [name for name in ("docker-compose.yml", "docker-compose.override.yml") if (folder / name).exists()]
    services = {
        service
        for name in names
        for service, options in (yaml.load((folder / name).read_text(), Loader).get("services") or {}).items()
        if service != "nginx" and (options or {}).get("ports")
    }
    if services:
        lines = [f"  {service}:\n    ports: !reset []\n" for service in sorted(services)]
        (folder / "docker-compose.e2e.yml").write_text("services:\n" + "".join(lines))
        names.append("docker-compose.e2e.yml")
    return ":".join(names)


@pytest.fixture(scope="session")
def stack(request, tmp_path_factory):
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(line):
        with capture.global_and_fixture_disabled():
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    folder = tmp_path_factory.mktemp("stack") / ROOT.name
    copy_of_the_clone(folder)
    stack = Stack(folder, say)
    stack.environment["COMPOSE_FILE"] = compose_files(folder)
    read = ["docker/read_env", "SERVER_MODE"]
    asked = subprocess.run(read, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    stack.mode = os.environ.get("E2E_MODE") or asked.stdout.strip()
    down = ["docker", "compose", "--progress", "quiet", "--profile", "*", "down"]
    down += ["--volumes", "--remove-orphans", "--timeout", "5"]
    # Clean up after a killed run.
    stack.run(*down, SERVER_MODE=stack.mode)
    try:
        stack.run("make", f"up-{stack.mode}")
        yield stack
    finally:
        stack.run(*down, SERVER_MODE=stack.mode)
        for slot in ("blue", "green"):
            image = f"{stack.environment['COMPOSE_PROJECT_NAME']}:{slot}"
            subprocess.run(["docker", "image", "rm", "--force", image], capture_output=True, check=False)
