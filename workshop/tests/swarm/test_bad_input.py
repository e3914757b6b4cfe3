"""What is wrong with the swarm, or with .env, is said in one sentence before anything is changed."""

import contextlib

import pytest

from . import nodes
from .conftest import Swarm, settings

NOWHERE = f"tcp://{nodes.NET}.99:2375"


def state(swarm) -> str:
    """Every service, and how often it has been changed."""
    names = swarm.docker("service", "ls", "--quiet").split()
    return swarm.docker("service", "inspect", "--format", "{{.Spec.Name}} {{.Version.Index}}", *names)


@contextlib.contextmanager
def configured(swarm, **variables: str):
    before = (swarm.folder / ".env").read_text()
    swarm.configure(**variables)
    try:
        yield
    finally:
        (swarm.folder / ".env").write_text(before)


@contextlib.contextmanager
def without_label(swarm):
    label = f"{swarm.project}.data"
    swarm.docker("node", "update", "--label-rm", label, nodes.MANAGER)
    try:
        yield
    finally:
        swarm.docker("node", "update", "--label-add", f"{label}=true", nodes.MANAGER)


# What is wrong in .env or in the swarm, in the environment of the call, and what the sentence names.
BAD = {
    "image-that-is-not-there": ({}, {"TAG": "nowhere"}, ["nowhere"]),
    "registry-that-is-not-there": ({"IMAGE": f"{nodes.NET}.99:5000/wisheasy"}, {"TAG": "x"}, [f"{nodes.NET}.99"]),
    "no-image": ({"IMAGE": ""}, {}, ["IMAGE"]),
    "too-many-replicas": ({"WEB_REPLICAS": "90"}, {}, ["WEB_REPLICAS", "DATABASE_MAX_CONNECTIONS"]),
    "replicas-that-are-no-number": ({"WEB_REPLICAS": "some"}, {}, ["WEB_REPLICAS", "some"]),
    "engine-that-does-not-exist": ({"ENGINE": "nomad"}, {}, ["ENGINE", "nomad"]),
    "engine-without-a-swarm": ({}, {"DOCKER_HOST": nodes.HERE}, ["swarm"]),
    "node-that-is-no-manager": ({}, {"DOCKER_HOST": nodes.address("two")}, ["manager"]),
    "engine-that-can-not-be-reached": ({}, {"DOCKER_HOST": NOWHERE}, [NOWHERE]),
}


@pytest.mark.parametrize(("changed", "variables", "named"), BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence_and_changes_nothing(swarm, figures, changed, variables, named):
    before = state(swarm)
    with configured(swarm, **changed):
        assert_refused(swarm, named, **variables)
    assert state(swarm) == before


def assert_refused(swarm, named, **variables):
    result = swarm.run("make", "release", check=False, **variables)
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert [name for name in named if name not in said] == [], said
    assert "Traceback" not in said
    # Make's own last line apart; and what went well before it, on stdout. Django's checks tell all that they find.
    lines = [line for line in result.stderr.splitlines() if line.strip() and not line.startswith("make: ***")]
    assert len(lines) <= (20 if "SystemCheckError" in said else 4), result.stderr


def test_a_stack_of_another_clone_is_not_touched(swarm, checkout, tmp_path):
    other = Swarm(checkout, tmp_path / "other")
    other.configure(**settings())
    before = state(swarm)
    assert_refused(other, ["secrets/postgres_password"])
    assert state(swarm) == before


def test_without_a_node_for_the_data_nothing_starts(swarm, checkout, tmp_path):
    other = Swarm(checkout, tmp_path / "other", "wisheasy-swarm-other")
    other.configure(**settings(COMPOSE_PROJECT_NAME=other.project))
    before = state(swarm)
    assert_refused(other, ["label-add wisheasy-swarm-other.data=true"])
    assert state(swarm) == before
