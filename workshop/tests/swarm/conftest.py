"""The stack on a swarm of two nodes (nodes.py), with a balancer before them: made from a copy of the repository by the
owner's commands, as on one machine."""

import os
import re
import subprocess
import time

import httpx
import pytest

from workshop.tests.copies import copy_with_the_probe
from workshop.tests.recipes import blocks
from workshop.tests.stack.conftest import BASE, Machine, figures, pytest_terminal_summary  # noqa: F401

from . import nodes
from .load import Visitors

PORT = 8080
BALANCER = f"{nodes.NET}.20"
# Seconds in which a version has to be ready.
READY_WITHIN = 40
ROUNDS = int(os.environ.get("DRILL_ROUNDS", "1"))
# One round is ten minutes.
collect_ignore = ["test_killed.py"] if ROUNDS == 1 else []


class Swarm(Machine):
    project = "wisheasy-swarm"

    def __init__(self, checkout, folder, project=None):
        super().__init__(checkout, folder, project)
        self.port = PORT
        self.url = f"http://{BALANCER}:{PORT}"
        self.manager = nodes.address(nodes.MANAGER)

    @property
    def environment(self) -> dict[str, str]:
        # Nothing of the settings: they are in .env, where the owner has them.
        return {"PATH": BASE["PATH"], "HOME": BASE["HOME"], "DOCKER_HOST": self.manager}

    def remove(self) -> None:
        """All of it, and what a run that was killed has left: a database knows one password."""
        self.run("make", "down", check=False)
        self.docker("stack", "rm", self.project)
        ours = ("ps", "--quiet", "--filter", f"label=com.docker.stack.namespace={self.project}")
        for node in nodes.NODES:
            nodes.wait_for(lambda node=node: not nodes.docker(*ours, node=node), "the end of the stack")
            named = nodes.docker("volume", "ls", "--quiet", "--filter", f"name=^{self.project}_", node=node).split()
            if named:
                nodes.docker("volume", "rm", "--force", *named, node=node, check=False)

    def configure(self, **variables: str) -> None:
        self.run("docker/configure", *(f"{name}={value}" for name, value in variables.items()))

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def timed(self, *command: str, **variables: str) -> tuple[subprocess.CompletedProcess, float]:
        begin = time.monotonic()
        result = self.run(*command, check=False, **variables)
        return result, time.monotonic() - begin

    def releasing(self) -> subprocess.Popen:
        return subprocess.Popen(
            ["make", "release"], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def docker(self, *command: str) -> str:
        return nodes.docker(*command, node=nodes.MANAGER)

    def ready(self, node: str) -> dict:
        """What that node answers, the balancer aside."""
        address = f"http://{nodes.NODES[node]}:{PORT}/healthz/ready"
        return httpx.get(address, headers={"Host": f"{BALANCER}:{PORT}"}, timeout=10).json()

    def versions(self) -> set[str]:
        """The marks that `mark` has put into the page, on both nodes and over several tasks."""
        found = set()
        for ip in (*nodes.NODES.values(), *nodes.NODES.values()):
            page = httpx.get(f"http://{ip}:{PORT}/probe/", headers={"Host": f"{BALANCER}:{PORT}"}, timeout=10).text
            found.add((re.search(r"<!-- version (\S+) -->", page) or ["", "first"])[1])
        return found

    def mark(self, version: str) -> None:
        """A page and a file of a version of its own."""
        page = self.folder / "workshop/probe/templates/probe/page.html"
        text = re.sub(r"<!-- version \S+ -->", "", page.read_text())
        page.write_text(text.replace("<main>", f"<!-- version {version} --><main>"))
        style = self.folder / "workshop/probe/static/probe/probe.css"
        style.write_text(f"{style.read_text()}\n/* {version} */\n")

    def tasks(self, service: str) -> list[tuple[str, str]]:
        """Node and state of each task that has to run."""
        listed = self.docker(
            "service", "ps", "--filter", "desired-state=running", "--format", "{{.Node}} {{.CurrentState}}",
            f"{self.project}_{service}",
        )  # fmt: skip
        return [tuple(line.split()[:2]) for line in listed.splitlines()]

    def query(self, sql: str) -> list[str]:
        for node in nodes.NODES:
            label = f"label=com.docker.swarm.service.name={self.project}_postgres"
            container = nodes.docker("ps", "--quiet", "--filter", label, node=node)
            if container:
                user = ("psql", "-U", "wisheasy", "-At", "-c", sql)
                return nodes.docker("exec", container, *user, node=node).split()
        raise AssertionError("PostgreSQL runs nowhere")


def balance() -> None:
    """An Nginx as deploy/load-balancer.md has it, before both nodes."""
    (text,) = blocks("load-balancer.md", "nginx")
    text = re.sub(r".*(443|http2|ssl_certificate).*\n", "", text).replace("listen 80", f"listen {PORT}")
    servers = "".join(f"    server {ip}:{PORT};\n" for ip in nodes.NODES.values())
    text = text.replace("    server 10.0.0.11:80;\n", servers)
    name = nodes.container("balancer")
    nodes.docker("rm", "--force", name, check=False)
    script = 'printf %s "$1" >/etc/nginx/conf.d/default.conf && exec nginx -g "daemon off;"'
    nodes.docker("run", "--detach", "--name", name, "--network", nodes.NAME, "--ip", BALANCER,
                 "nginx:1.30", "sh", "-c", script, "sh", text)  # fmt: skip


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    return copy_with_the_probe(tmp_path_factory.mktemp("swarm") / "wisheasy")


@pytest.fixture(scope="session")
def lab():
    """Both nodes. Those that were there before the tests stay."""
    there = bool(nodes.docker("ps", "--quiet", "--filter", f"name=^{nodes.container(nodes.MANAGER)}$"))
    nodes.up()
    balance()
    try:
        yield nodes
    finally:
        nodes.docker("rm", "--force", nodes.container("balancer"))
        if not there:
            nodes.down()


def settings(**changed: str) -> dict[str, str]:
    return {
        "ENGINE": "swarm", "IMAGE": nodes.IMAGE, "HTTP_PORT": str(PORT), "SITE_URL": f"http://{BALANCER}:{PORT}",
        "TRUSTED_PROXIES": f"{nodes.NET}.0/24", "WEB_CONCURRENCY": "1", "COMPOSE_PROJECT_NAME": Swarm.project,
        "READY_WITHIN": str(READY_WITHIN), **{name: "0" for name in BASE if name.startswith("LIMIT_")}, **changed,
    }  # fmt: skip


@pytest.fixture(scope="session")
def swarm(lab, checkout, tmp_path_factory):
    stack = Swarm(checkout, tmp_path_factory.mktemp("owner") / "wisheasy")
    stack.configure(**settings())
    stack.docker("node", "update", "--label-add", f"{stack.project}.data=true", nodes.MANAGER)
    stack.remove()
    begin = time.monotonic()
    try:
        stack.run("make", "up-asgi")
        stack.first = time.monotonic() - begin
        yield stack
    finally:
        stack.remove()


@pytest.fixture(scope="session")
def load(swarm):
    with Visitors(swarm.url) as load:
        yield load


@pytest.fixture
def asgi(swarm, checkout):
    """The stack in asgi mode, from an unspoilt copy."""
    for name in ("apps", "kit", "wisheasy", "workshop"):
        subprocess.run(["rm", "-rf", str(swarm.folder / name)], check=True)
        subprocess.run(["cp", "-r", str(checkout / name), str(swarm.folder / name)], check=True)
    if swarm.ready(nodes.MANAGER)["mode"] != "asgi":
        swarm.run("make", "up-asgi")
    return swarm
