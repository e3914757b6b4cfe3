"""Releases, rollbacks, switches and broken releases on the swarm, under the load of visitors."""

import re
import time

import httpx
import pytest

from workshop.tests.stack.load import KEPT, MEMBERS, NEW, OPEN_WITHIN, SILENCE
from workshop.tests.stack.test_releases import SWITCHES, add_migration

from . import nodes
from .conftest import READY_WITHIN, ROUNDS

BACK_WITHIN = 5
# Beyond READY_WITHIN, until a version that never gets ready is rolled back and told.
TOLD_WITHIN = 15
# After a node is gone: until all servers run, and until nothing fails any more; meanwhile one request in so many may.
FULL_STRENGTH_WITHIN, UNSURE_FOR, ONE_IN = 30, 20, 1000


def assert_nothing_failed(load, report):
    assert report.requests > 0
    assert report.failures == []
    assert report.missing == []
    load.wait_until_back(BACK_WITHIN)
    assert max(report.gaps, default=0) <= BACK_WITHIN
    load.wait_until_shown()


def assert_no_post_is_lost_or_doubled(swarm, load):
    # First: they go on posting.
    acknowledged = set(load.acknowledged())
    texts = swarm.query("SELECT text FROM probe_post WHERE text LIKE 'load-%'")
    assert sorted(set(texts)) == sorted(texts)
    assert acknowledged <= set(texts)


def under_load(swarm, load, figures, what, *command, **variables):
    report = load.begin()
    result, seconds = swarm.timed("make", *command, **variables)
    # For the files of the pages that were answered last.
    time.sleep(3)
    figures.append(f"{what} in {seconds:.1f} s: {report}")
    return report, result, seconds


def come_to(step, release):
    said = ""
    while not re.search(rf"^{step}\b", said, re.MULTILINE):
        character = release.stdout.read(1)
        assert character, f"it never came to {step}:\n{said}"
        said += character


def test_it_starts_in_one_go_and_both_nodes_answer(swarm, figures):
    figures.append(f"first start: {swarm.first:.0f} s")
    for node in nodes.NODES:
        assert swarm.ready(node)["status"] == "ready"
    assert [state for _, state in swarm.tasks("web")] == ["Running", "Running"]
    assert {node for node, _ in swarm.tasks("nginx")} == set(nodes.NODES)
    assert {node for node, _ in swarm.tasks("postgres")} == {nodes.MANAGER}


def web_runs(swarm, without):
    """Whether all of web serves, none of it on that node."""
    tasks = swarm.tasks("web")
    return len(tasks) == 2 and all(node != without and state == "Running" for node, state in tasks)


def assert_spread(swarm):
    """A node that dies takes half of it: Swarm alone can place both tasks on one node."""
    for service in ("web", "live"):
        assert {node for node, _ in swarm.tasks(service)} in (set(nodes.NODES), set()), service


def test_a_drained_node_that_misses_a_release_comes_back_without_a_failure(asgi, load, figures):
    for number in range(1, ROUNDS + 1):
        report = load.begin()
        asgi.docker("node", "update", "--availability", "drain", "two")
        nodes.wait_for(lambda: web_runs(asgi, without="two"), "the move of web")
        asgi.mark(f"drained-{number}")
        result, seconds = asgi.timed("make", "release")
        assert result.returncode == 0, result.stdout + result.stderr
        asgi.docker("node", "update", "--availability", "active", "two")
        nodes.wait_for(lambda: ("two", "Running") in asgi.tasks("nginx"), "the return of nginx")
        assert asgi.versions() == {f"drained-{number}"}
        # Swarm moves nothing back.
        assert "web: 2/2, and a node has two more than another" in asgi.run("make", "doctor").stdout
        time.sleep(5)
        figures.append(f"drained, released in {seconds:.0f} s, and back: {report}")
        assert_nothing_failed(load, report)
    assert_no_post_is_lost_or_doubled(asgi, load)


def test_a_release_and_a_rollback_fail_no_request_and_miss_no_file(asgi, load, figures):
    for number in range(1, ROUNDS + 1):
        before = asgi.versions()
        asgi.mark(f"{number}")
        for command, expected in (("release", {f"{number}"}), ("rollback", before), ("rollback", {f"{number}"})):
            report, result, _ = under_load(asgi, load, figures, command, command)
            assert result.returncode == 0, result.stdout + result.stderr
            assert asgi.versions() == expected
            assert_spread(asgi)
            assert_nothing_failed(load, report)
    assert_no_post_is_lost_or_doubled(asgi, load)


def test_no_switch_between_two_modes_fails_a_request(asgi, load, figures):
    # By each mode once; with more rounds, each of the six ways.
    for mode in SWITCHES[:3] if ROUNDS == 1 else SWITCHES:
        before = asgi.ready(nodes.MANAGER)["mode"]
        report, result, _ = under_load(asgi, load, figures, f"{before} to {mode}", f"up-{mode}")
        assert result.returncode == 0, result.stdout + result.stderr
        assert {asgi.ready(node)["mode"] for node in nodes.NODES} == {mode}
        assert bool(asgi.tasks("live")) == (mode == "hybrid")
        assert_spread(asgi)
        assert_nothing_failed(load, report)
    assert_no_post_is_lost_or_doubled(asgi, load)


def never_be_ready(swarm):
    swarm.edit("kit/ops/health.py", 'status=503 if status == "unavailable" else 200', "status=503")


def crash(swarm):
    swarm.edit("workshop/lab/asgi.py", "import os\n", "import os\nraise RuntimeError('drill')\n")


def fail_to_migrate(swarm):
    add_migration(swarm, 'migrations.RunSQL("SELECT 1/0")')


def drop_what_the_running_version_reads(swarm):
    add_migration(swarm, 'migrations.RemoveField("post", "owner")')


def open_too_many_connections(swarm):
    swarm.edit("kit/serving/modes.py", "threads=8", "threads=800")


BROKEN = {
    "is-never-ready": (never_be_ready, "web", ""),
    "crashes": (crash, "web", "drill"),
    "can-not-be-served-beside-the-one-before": (
        drop_what_the_running_version_reads,
        "safety",
        "DROPPING columns of probe_post",
    ),
    "fails-to-migrate": (fail_to_migrate, "migrate", "division by zero"),
    "is-over-the-budget-of-connections": (open_too_many_connections, "check", "ops.E002"),
}
# Each of the others is a minute.
SHORT = ("is-never-ready", "fails-to-migrate")


@pytest.mark.parametrize("broken", SHORT if ROUNDS == 1 else BROKEN)
def test_a_broken_release_is_rolled_back_and_told_in_time(asgi, load, figures, broken):
    spoil, step, reason = BROKEN[broken]
    before = asgi.versions()
    asgi.mark(broken)
    spoil(asgi)
    report = load.begin()
    with asgi.releasing() as release:
        come_to(step, release)
        begin = time.monotonic()
        said = release.stdout.read()
        release.wait()
        told = time.monotonic() - begin
    time.sleep(3)
    figures.append(f"a version that {broken}: undone and told {told:.1f} s after {step} began: {report}")
    assert release.returncode != 0
    assert reason in said
    assert said.count("Not released") == 1, said
    assert asgi.versions() == before
    assert told <= READY_WITHIN + TOLD_WITHIN
    assert_nothing_failed(load, report)
    # The way back is what it was.
    assert [state for _, state in asgi.tasks("web")] == ["Running", "Running"]


def answers(swarm, node):
    try:
        return swarm.ready(node)["status"] == "ready"
    except httpx.TransportError:
        return False


# The last one: Swarm moves nothing back.
def test_a_node_that_is_cut_off_costs_what_is_under_way_there(asgi, load, figures):
    # Nor after a release that it has undone. One without anything new spreads the tasks.
    asgi.run("make", "release")
    assert_spread(asgi)
    during, begin = load.begin(), time.monotonic()
    nodes.cut_off("two")
    try:
        nodes.wait_for(lambda: web_runs(asgi, without="two"), "full strength")
        full = time.monotonic() - begin
        # A release would not reach it.
        assert "The node two does not answer" in asgi.run("make", "doctor", check=False).stdout
        time.sleep(max(0, UNSURE_FOR - (time.monotonic() - begin)))
        after = load.begin()
        # Until pages that were live there know it.
        time.sleep(max(0, SILENCE + BACK_WITHIN - (time.monotonic() - begin)))
    finally:
        nodes.reach_again("two")
    figures.append(f"cut off: full strength after {full:.1f} s: {during}; after {UNSURE_FOR} s: {after}")
    assert full <= FULL_STRENGTH_WITHIN
    load.wait_until_back(BACK_WITHIN)
    under_way = [each for each in during.failures if re.search("Timeout|RemoteProtocolError", each)]
    assert len(under_way) <= KEPT + NEW + MEMBERS + 1, during.failures
    assert len(during.failures) - len(under_way) <= max(1, during.requests // ONE_IN), during.failures
    assert after.failures == []
    # The way back of a page may lead there once.
    assert max(during.gaps + after.gaps, default=0) <= OPEN_WITHIN + BACK_WITHIN
    assert_no_post_is_lost_or_doubled(asgi, load)
    nodes.wait_for(lambda: answers(asgi, "two"), "the return of the node")
