"""Releases, switches and rollbacks under the load of many visitors: no request may fail."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from workshop.tests.busybox import tools
from workshop.tests.servers import free_port

from .conftest import Machine
from .load import Load
from .test_failures import kill_a_worker

# Each of the six switches between two modes, one after the other: from asgi, and back to it. One round makes three.
SWITCHES = ["wsgi", "hybrid", "asgi", "hybrid", "wsgi", "asgi"]
ROUNDS = int(os.environ.get("DRILL_ROUNDS", "1"))
# Seconds in which a live page has to be back. On a machine with nothing else to do none took half of it.
BACK_WITHIN = 5
READY_AGAIN_WITHIN = 15
# What is the owner's in folders of the template.
SITE = "nginx/site.d/drill.conf"
HOOKS = ("docker/hooks/before_release", "docker/hooks/after_release")
# What a version is told apart by.
PAGE = "workshop/probe/templates/probe/page.html"
QUIET = 5


class Drilled(Machine):
    project = "wisheasy-e2e-drill"

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def restore(self, original: Path) -> None:
        """Make the checkout what it was, but for .env."""
        for name in ("docker-compose.override.yml", SITE, *HOOKS):
            (self.folder / name).unlink(missing_ok=True)
        for name in ("apps", "kit", "wisheasy", "workshop"):
            shutil.rmtree(self.folder / name)
            shutil.copytree(original / name, self.folder / name)

    def timed(self, *command: str, **variables: str) -> tuple[subprocess.CompletedProcess, float]:
        begin = time.monotonic()
        result = self.run(*command, check=False, **variables)
        return result, time.monotonic() - begin

    def serves(self) -> tuple[str, str]:
        ready = httpx.get(f"{self.url}/healthz/ready", timeout=10).json()
        return ready["slot"], ready["mode"]


@pytest.fixture(scope="module")
def drilled(checkout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drill") / "wisheasy"
    stack = Drilled(checkout, folder)
    try:
        stack.up("asgi")
        yield stack
    finally:
        stack.remove()


@pytest.fixture(scope="module")
def load(drilled):
    with Load(drilled.url) as load:
        yield load


@pytest.fixture
def asgi(drilled, checkout):
    """The stack as it was at first, in asgi mode, with both slots in use."""
    drilled.restore(checkout)
    if drilled.serves()[1] != "asgi":
        drilled.up("asgi")
    return drilled


def assert_nothing_failed(load, report):
    assert report.requests > 0
    assert report.failures == []
    load.wait_until_shown()


def assert_no_post_is_lost_or_doubled(stack, load):
    # First: they go on posting.
    acknowledged = set(load.acknowledged())
    query = "SELECT text FROM probe_post WHERE text LIKE 'load-%'"
    texts = stack.compose("exec", "-T", "postgres", "psql", "-U", "wisheasy", "-At", "-c", query).stdout.split()
    assert sorted(set(texts)) == sorted(texts)
    assert acknowledged <= set(texts)


def test_no_switch_between_two_modes_fails_a_request(asgi, load, figures):
    quiet = load.begin()
    time.sleep(QUIET)
    figures.append(f"quiet, asgi: {quiet}")
    for mode in SWITCHES[:3] if ROUNDS == 1 else SWITCHES * ROUNDS:
        before = asgi.serves()
        report = load.begin()
        result, seconds = asgi.timed("make", f"up-{mode}")
        assert result.returncode == 0, result.stdout + result.stderr
        slot, serving = asgi.serves()
        assert serving == mode
        assert slot != before[0]
        assert [name for name in asgi.services() if name.startswith("worker-")] == [f"worker-{slot}"]
        load.wait_until_back(BACK_WITHIN)
        figures.append(f"{before[1]} to {mode} in {seconds:.1f} s: {report}")
        assert_nothing_failed(load, report)
        assert max(report.gaps, default=0) <= BACK_WITHIN
    assert_no_post_is_lost_or_doubled(asgi, load)
    # An office with 200 live pages meets no limit, even when all of them come back at once.
    assert '"status":429' not in asgi.compose("logs", "nginx").stdout


# What an owner adds that is there once for each slot, beside the servers.
HELPERS = "services:" + "".join(
    f"""
  helper-{slot}:
    extends: {{file: docker-compose.yml, service: web-{slot}}}
    init: true
    command: [sleep, infinity]
    healthcheck: {{test: [CMD, "true"]}}
"""
    for slot in ("blue", "green")
)


def test_containers_that_were_pruned_are_missed_by_whatever_wants_them(asgi):
    slot = asgi.serves()[0]
    asgi.run("docker", "container", "prune", "--force", "--filter", f"label=com.docker.compose.project={asgi.project}")
    other = "green" if slot == "blue" else "blue"
    result = asgi.run("make", "rollback", check=False)
    assert f"There is nothing to go back to: the stopped containers of {other} were removed" in result.stderr
    shown = asgi.run("make", "ps").stdout
    assert re.search(rf"^{slot}: serves, ", shown, re.MULTILINE)
    assert re.search(rf"^{other}: containers of it were removed ", shown, re.MULTILINE)


def add_what_is_the_owners(stack):
    (stack.folder / "docker-compose.override.yml").write_text(HELPERS)
    (stack.folder / SITE).write_text('location = /drill { return 200 "drill"; }\n')
    for name in HOOKS:
        (stack.folder / name).write_text("#!/bin/sh\nbasename $0 >>drilled\n")
        (stack.folder / name).chmod(0o755)
    stack.run("docker/configure", "DRILL_NAME=of-the-owner")


def helpers(stack):
    return [service for service in stack.services() if service.startswith("helper-")]


def test_a_release_and_a_rollback_fail_no_request_and_bring_all_that_is_of_their_version(asgi, load, figures):
    with asgi.poster() as poster:
        picture = asgi.url + poster.keep("me.png", b"\x89PNG").json()["url"]
    for number in range(1, ROUNDS + 1):
        add_what_is_the_owners(asgi)
        asgi.edit(PAGE, "<main>", f"<!-- version {number} --><main>")
        # Back to a version that had nothing of it, and forth.
        for command, new in (("release", True), ("rollback", number > 1), ("rollback", True)):
            before = asgi.serves()
            report = load.begin()
            result, seconds = asgi.timed("make", command)
            assert result.returncode == 0, result.stdout + result.stderr
            slot, _ = asgi.serves()
            assert slot != before[0]
            load.wait_until_back(BACK_WITHIN)
            figures.append(f"{command} in {seconds:.1f} s: {report}")
            assert_nothing_failed(load, report)
            assert max(report.gaps, default=0) <= BACK_WITHIN
            assert helpers(asgi) == ([f"helper-{slot}"] if new else [])
            assert [name for name in asgi.services() if name.startswith("worker-")] == [f"worker-{slot}"]
            assert (httpx.get(f"{asgi.url}/drill").status_code == 200) == new
            assert httpx.get(picture).content == b"\x89PNG"
        for service in (f"web-{slot}", f"worker-{slot}", f"helper-{slot}"):
            assert asgi.compose("exec", "-T", service, "printenv", "DRILL_NAME").stdout == "of-the-owner\n"
        assert (asgi.folder / "drilled").read_text().split() == ["before_release", "after_release"] * number
        assert f"version {number} " in httpx.get(f"{asgi.url}/probe/").text
        shown = asgi.run("make", "ps").stdout
        assert re.search(rf"^{slot}: serves, asgi mode, version .*\n{slot}: 1 of 1 workers run$", shown, re.MULTILINE)
        assert re.search(r"^(blue|green): a rollback leads here, asgi mode, version ", shown, re.MULTILINE)
    assert_no_post_is_lost_or_doubled(asgi, load)


MIGRATION = """from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("probe", "{last}")]
    operations = [{operation}]
"""


def add_migration(stack, operation):
    folder = stack.folder / "workshop/probe/migrations"
    last = max(path.stem for path in folder.glob("0*.py"))
    (folder / "9999_drill.py").write_text(MIGRATION.format(last=last, operation=operation))


DANGEROUS = """
        migrations.RemoveField("post", "owner"),
        migrations.RenameField("post", "text", "name"),
        migrations.AddField("post", "drill", models.TextField(default="x")),
        migrations.AddIndex("post", models.Index(fields=["created_at"], name="drill")),
    """

# A disk of 1 MB for backups; and something new in the image, or there would be no backup.
SMALL_DISK = """
services:
  backup:
    volumes: [{type: tmpfs, target: /var/lib/postgresql, tmpfs: {size: 1048576, mode: 0o1777}}]
"""


def fill_the_disk(stack):
    (stack.folder / "docker-compose.override.yml").write_text(SMALL_DISK)
    (stack.folder / "apps/new.py").touch()


def never_be_ready_while_redis_restarts(stack):
    stack.edit("kit/ops/health.py", 'status=503 if status == "unavailable" else 200', "status=503")
    redis = stack.compose("ps", "--quiet", "redis").stdout.strip()
    # Not by Docker, for which it would count as stopped on purpose.
    hook = stack.folder / HOOKS[0]
    hook.write_text(f"#!/bin/sh\nkill -9 $(docker inspect --format '{{{{.State.Pid}}}}' {redis})\n")
    hook.chmod(0o755)


BAD = {
    "has-no-room-for-its-backup": (fill_the_disk, "backup", "are free where backups lie"),
    "is-never-ready": (
        never_be_ready_while_redis_restarts,
        "start",
        "running, starting",
        # Though it is well by then.
        "--- redis: running again, healthy",
    ),
    "is-over-the-budget-of-connections": (
        lambda stack: stack.edit("kit/serving/modes.py", "threads=8", "threads=800"),
        "check",
        "ops.E002",
    ),
    "does-not-pass-its-own-test-when-it-serves": (
        lambda stack: stack.edit(
            "kit/ops/management/commands/smoke.py", "visitor.check_page()", "raise Wrong('drill')"
        ),
        "smoke",
        "drill",
    ),
    "can-not-be-built": (
        lambda stack: stack.edit(
            "workshop/probe/settings.py", "ROOT_URLCONF", "raise SystemExit('drill')\nROOT_URLCONF"
        ),
        "image",
        "drill",
    ),
    "fails-to-migrate": (
        lambda stack: add_migration(stack, 'migrations.RunSQL("SELECT 1/0")'),
        "migrate",
        "division by zero",
    ),
    "can-not-be-served-beside-the-one-before": (
        lambda stack: add_migration(stack, DANGEROUS),
        "safety",
        "probe.9999_drill (",
        "DROPPING columns of probe_post",
        "RENAMING columns",
        "NOT NULL constraint on columns",
        "CREATE INDEX locks table",
    ),
}


@pytest.mark.parametrize(
    ("spoil", "step", "reasons"), [(spoil, step, said) for spoil, step, *said in BAD.values()], ids=BAD
)
def test_a_release_that_fails_leaves_the_version_before_serving(asgi, load, figures, spoil, step, reasons):
    fail_to_release(asgi, load, figures, spoil, step, reasons)


def test_a_version_that_crashes_leaves_the_version_before_serving_and_the_way_back_as_it_was(asgi, load, figures):
    def spoil(stack):
        stack.edit("workshop/lab/asgi.py", "import os\n", "import os\nraise RuntimeError('drill')\n")

    fail_to_release(asgi, load, figures, spoil, "start", ["drill"])
    slot, _ = asgi.serves()
    report = load.begin()
    asgi.run("make", "rollback")
    assert asgi.serves()[0] != slot
    assert_nothing_failed(load, report)


def fail_to_release(stack, load, figures, spoil, step, reasons):
    serving = stack.serves()
    spoil(stack)
    report = load.begin()
    result, seconds = stack.timed("make", "release", READY_WITHIN="15")
    figures.append(f"refused in {seconds:.1f} s at {step}: {report}")
    assert result.returncode != 0
    assert [reason for reason in reasons if reason not in result.stderr] == [], result.stderr
    last = result.stderr.strip().splitlines()[-2]
    assert last == (
        f"Not released: the step '{step}' failed, and the reason is above. "
        f"The old version keeps serving ({serving[0]}, {serving[1]} mode)."
    )
    assert stack.serves() == serving
    assert stack.serving() == [f"web-{serving[0]}"]
    assert_nothing_failed(load, report)


SAFE = """
        migrations.AddField("post", "drill_null", models.TextField(null=True)),
        migrations.AddField("post", "drill_default", models.TextField(db_default="x", default="x")),
        migrations.CreateModel("Drill", [("id", models.BigAutoField(primary_key=True)), ("text", models.TextField())]),
        migrations.AddIndex("drill", models.Index(fields=["text"], name="drill")),
    """


def test_a_release_with_migrations_that_the_running_version_can_live_with_passes(asgi, load):
    add_migration(asgi, SAFE)
    report = load.begin()
    result = asgi.run("make", "release", check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_nothing_failed(load, report)
    asgi.compose("exec", "-T", *asgi.serving(), "python", "manage.py", "migrate", "probe", "0001")


def kill_main_process(stack, service):
    """As the kernel does it. To Docker's own kill the container would count as stopped on purpose."""
    container = stack.compose("ps", "--quiet", service).stdout.strip()
    os.kill(int(stack.run("docker", "inspect", "--format", "{{.State.Pid}}", container).stdout), signal.SIGKILL)


def without_redis(stack):
    stack.compose("stop", "redis")
    time.sleep(15)
    stack.compose("start", "redis")


# What is done, and which requests may fail until the stack is ready again. A page of which half was sent is lost.
ACCIDENTS = {
    "a-worker-is-killed": (kill_a_worker, ["POST"]),
    "the-web-container-is-killed": (
        lambda stack: kill_main_process(stack, *stack.serving()),
        ["POST", "RemoteProtocolError"],
    ),
    "nginx-is-killed": (lambda stack: kill_main_process(stack, "nginx"), ["GET", "POST"]),
    "postgresql-restarts": (lambda stack: stack.compose("restart", "postgres"), ["GET", "POST"]),
    "redis-is-away-for-15-seconds": (without_redis, []),
}


@pytest.mark.parametrize(("accident", "may_fail"), ACCIDENTS.values(), ids=ACCIDENTS)
def test_after_an_accident_the_stack_is_ready_again_by_itself(asgi, load, figures, request, accident, may_fail):
    report = load.begin()
    accident(asgi)
    seconds = asgi.seconds_until_ready()
    # What is on its way may still fail.
    time.sleep(1)
    after = load.begin()
    time.sleep(2)
    figures.append(f"{request.node.callspec.id}: ready {seconds:.1f} s later: {report}")
    assert seconds <= READY_AGAIN_WITHIN
    assert [failure for failure in report.failures if not any(kind in failure for kind in may_fail)] == []
    assert_nothing_failed(load, after)
    assert_no_post_is_lost_or_doubled(asgi, load)


# One release after the other is killed, each at a later step, and then one is not: before a slot is touched, while it
# starts, and while visitors are sent there. One round kills at the steps that leave the most behind.
KILLED_AT = (
    [["safety", "start"], ["switch", "drain"]]
    if ROUNDS == 1
    else [
        ["image", "check", "services", "backup", "safety"],
        ["migrate", "start", "introduce"],
        ["switch", "smoke", "drain"],
    ]
)


@pytest.mark.parametrize("steps", KILLED_AT, ids="-".join)
def test_a_release_that_is_killed_is_finished_by_the_next(asgi, load, figures, steps):
    # Something new in the image, or there would be nothing to back up and to migrate.
    name = "-".join(steps)
    asgi.edit(PAGE, "<main>", f"<!-- {name} --><main>")
    report = load.begin()
    for step in steps:
        kill_release(asgi, step)
    result, seconds = asgi.timed("make", "release")
    assert result.returncode == 0, result.stdout + result.stderr
    figures.append(f"killed at {', '.join(steps)}, then released in {seconds:.1f} s: {report}")
    assert f"<!-- {name} -->" in httpx.get(f"{asgi.url}/probe/").text
    assert len(asgi.serving()) == 1
    assert_nothing_failed(load, report)


def kill_release(stack, step):
    """Begin one, and kill it as soon as it says that it has come to this step."""
    with subprocess.Popen(
        ["docker/release"],
        cwd=stack.folder,
        env=stack.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as release:
        said = ""
        while not re.search(rf"^{step} ", said, re.MULTILINE):
            character = release.stdout.read(1)
            assert character, f"it never came to {step}:\n{said}"
            said += character
        release.kill()


def test_of_two_releases_at_once_one_wins_and_the_other_says_who_is_at_it(asgi, load):
    report = load.begin()
    first = subprocess.Popen(
        ["make", "release"],
        cwd=asgi.folder,
        env=asgi.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    first.stdout.read(1)
    second = asgi.run("make", "rollback", check=False)
    said, _ = first.communicate()
    assert first.returncode == 0, said
    assert second.returncode != 0
    running = r"^Another command is running: process \d+ \(make release, by \S+ since .+\)\."
    assert re.search(running, second.stderr, re.MULTILINE)
    assert_nothing_failed(load, report)


# --- What becomes of Nginx, for which there is no second one


def containers(stack):
    return stack.compose("--profile", "*", "ps", "--all", "--quiet").stdout.split()


def release_by_https(stack, port, **variables):
    """By a certificate that Nginx makes."""
    return stack.run("make", "release", check=False, SITE_URL=f"https://localhost:{port}", **variables)


def test_a_port_that_is_taken_when_it_is_chosen_stops_a_release_before_anything_is_changed(asgi):
    before = (asgi.folder / ".env").read_text()
    running = containers(asgi)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = release_by_https(asgi, port)
    assert result.returncode != 0
    assert f"Port {port} is taken by another program" in result.stderr
    assert containers(asgi) == running
    (asgi.folder / ".env").write_text(before)


def take_the_port(stack, port, gateway):
    # Of an address that is not looked at.
    stack.open.enter_context(socket.create_server((gateway, port)))


def fail_behind_it(stack, _port, _gateway):
    stack.edit("kit/ops/management/commands/smoke.py", "visitor.check_page()", "raise Wrong('drill')")


@pytest.mark.parametrize(
    ("spoil", "step"),
    [
        pytest.param(take_the_port, "nginx", id="cannot-start"),
        pytest.param(fail_behind_it, "smoke", id="comes-too-early"),
    ],
)
def test_an_nginx_that_was_recreated_in_vain_is_put_back_on_its_old_ports(asgi, load, gateway, spoil, step):
    serving = asgi.serves()
    port = free_port()
    with asgi.open:
        spoil(asgi, port, gateway)
        result = release_by_https(asgi, port, HTTPS_PORT=str(port), ACME_DIRECTORY="off")
    assert result.returncode != 0
    assert (
        f"the step '{step}' failed, and the reason is above. "
        f"The old version keeps serving ({serving[0]}, {serving[1]} mode)." in result.stderr
    ), result.stderr
    assert asgi.serves() == serving
    assert str(port) not in asgi.compose("port", "nginx", "8443").stdout
    assert "certificates" not in asgi.services()
    load.wait_until_back(BACK_WITHIN)


# --- Where it runs


def test_with_the_tools_of_a_mac_it_is_released_rolled_back_and_examined(asgi, load, tmp_path):
    path = str(tools(tmp_path / "bin", "docker"))
    report = load.begin()
    for command in ("release", "rollback", "ps", "backup", "doctor"):
        result = asgi.run("make", command, PATH=path)
        assert not re.search(r"not found|[Uu]sage:|(invalid|unrecognized|unknown) option", result.stderr), result.stderr
    asgi.run("docker/configure", "DRILL_NAME=of-a-mac", PATH=path)
    assert "DRILL_NAME=of-a-mac\n" in (asgi.folder / ".env").read_text()
    assert_nothing_failed(load, report)


COMMANDS = ("up-wsgi", "release", "rollback", "ps", "backup", "down", "doctor")


def test_a_second_clone_of_one_project_touches_nothing_and_names_the_first(asgi, tmp_path):
    second = tmp_path / "second"
    ignored = shutil.ignore_patterns(".env", ".env.names", "secrets", "var")
    shutil.copytree(asgi.folder, second, ignore=ignored)
    running = containers(asgi)
    for command in COMMANDS:
        result = asgi.run("make", "-C", str(second), command, check=False)
        assert result.returncode != 0
        said = result.stdout + result.stderr
        assert f"{asgi.project} is the stack of the clone in {asgi.folder}" in said, said
        assert f"docker/configure COMPOSE_PROJECT_NAME={asgi.project}-2" in said
    assert not (second / ".env").exists()
    assert containers(asgi) == running


# The last one: visitors are not served meanwhile.
def test_a_clone_that_was_moved_is_started_again_and_a_first_start_that_fails_at_nginx_too(
    asgi, load, gateway, tmp_path
):
    first, moved = asgi.folder, tmp_path / "moved"
    first.rename(moved)
    asgi.folder = moved
    path = str(tools(tmp_path / "bin", "docker"))
    for command in COMMANDS:
        result = asgi.run("make", command, check=False)
        assert result.returncode != 0
        said = result.stdout + result.stderr
        assert f"The containers of {asgi.project} were made in {first}, where there is no clone" in said, said
        assert "docker compose --profile '*' down and make up-asgi (the data stays)" in said
    asgi.compose("--profile", "*", "down")
    with socket.create_server((gateway, asgi.port)):
        result = asgi.run("make", "up-asgi", check=False, PATH=path)
        assert f"{asgi.project} is not up: its step 'nginx' failed" in result.stderr, result.stderr
        assert "does not answer (make doctor)" in asgi.run("make", "ps", PATH=path).stdout
    asgi.run("make", "up-asgi", PATH=path)
    assert len(asgi.serving()) == 1
    asgi.seconds_until_ready()
    assert_no_post_is_lost_or_doubled(asgi, load)
