"""From a running stack on one machine to the swarm and back, with its secrets and by its backups: nothing is lost."""

import shutil
from pathlib import Path

import httpx
import pytest

from workshop.tests.servers import Poster
from workshop.tests.stack.conftest import Machine

from . import nodes
from .conftest import PORT, Swarm, settings

FOLDER = "/var/lib/postgresql"
PROJECT = "wisheasy-swarm-moving"


@pytest.fixture(scope="module")
def machine(lab, checkout, tmp_path_factory):
    """One machine: the engine that the tests run on."""
    stack = Machine(checkout, tmp_path_factory.mktemp("machine") / "wisheasy", PROJECT)
    try:
        stack.up("asgi")
        yield stack
    finally:
        stack.remove()


@pytest.fixture(scope="module")
def target(lab, machine, checkout, tmp_path_factory):
    """A swarm beside the one of the drills: its own ports, volumes and networks."""
    stack = Swarm(checkout, tmp_path_factory.mktemp("target") / "wisheasy", PROJECT)
    stack.port = PORT + 1
    stack.url = f"http://{nodes.NODES[nodes.MANAGER]}:{stack.port}"
    stack.configure(**settings(COMPOSE_PROJECT_NAME=PROJECT, HTTP_PORT=str(stack.port), SITE_URL=stack.url))
    shutil.copytree(machine.folder / "secrets", stack.folder / "secrets", dirs_exist_ok=True)
    stack.docker("node", "update", "--label-add", f"{PROJECT}.data=true", nodes.MANAGER)
    try:
        yield stack
    finally:
        stack.remove()


def last_backup(stack, node: str | None, *labels: str) -> Path:
    name = stack.run("make", "backup").stdout.split()[0]
    container = nodes.docker("ps", "--quiet", *(f"--filter=label={label}" for label in labels), node=node).split()[0]
    nodes.docker("cp", f"{container}:{FOLDER}/{name}", str(stack.folder / name), node=node)
    return stack.folder / name


def texts(stack) -> set[str]:
    changes = httpx.get(f"{stack.url}/live/probe/changes?after=0", timeout=10).json()["changes"]
    return {text for change in changes for text in ("from one", "from the swarm") if text in (change["html"] or "")}


def test_from_one_machine_to_the_swarm_and_back_nothing_is_lost(machine, target, figures):
    with machine.client() as client:
        visitor = Poster(client)
        visitor.post("from one")
        session = client.cookies["sessionid"]
    backup = last_backup(machine, None, "com.docker.compose.service=backup", f"com.docker.compose.project={PROJECT}")
    target.run("make", "up-asgi")
    target.run("make", "restore", f"FILE={backup}", CONFIRM="wisheasy")
    assert texts(target) == {"from one"}
    # The same secrets, so the visitor is still signed in.
    with httpx.Client(base_url=target.url, cookies={"sessionid": session}, timeout=30) as client:
        assert f"Signed in as {visitor.name}" in client.get("/probe/").text
        Poster(client).post("from the swarm")
    backup = last_backup(target, nodes.MANAGER, f"com.docker.swarm.service.name={PROJECT}_backup")
    machine.run("make", "restore", f"FILE={backup}", CONFIRM="wisheasy")
    assert texts(machine) == {"from one", "from the swarm"}
