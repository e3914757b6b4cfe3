"""docs/recipes/celery.md, done as it says: what Compose makes of it, and a task with a broker and without one."""

import json
import os
import secrets
import shutil
import subprocess
import sys

import pytest

from workshop.tests.servers import free_port
from workshop.tests.stack.conftest import eventually
from workshop.tests.test_docker_scripts import needs_compose

from . import page

TASK = """
from celery import shared_task
from pathlib import Path


@shared_task
def write(path):
    Path(path).write_text("done")
"""
CALL = "from django.db import transaction; from apps.wishes.tasks import write; write.delay_on_commit({!r})"


@pytest.fixture(scope="module")
def project(clone, packages):
    page.follow("celery", clone, packages=packages)
    (clone / "apps/wishes/tasks.py").write_text(TASK)
    return clone


@pytest.fixture(scope="module")
def variables(packages, tmp_path_factory):
    database = f"sqlite:///{tmp_path_factory.mktemp('celery')}/db.sqlite3"
    return {**os.environ, "PYTHONPATH": str(packages), "DATABASE_URL": database, "CELERY_BROKER_URL": ""}


def call(project, variables, path):
    command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", CALL.format(str(path))]
    subprocess.run(command, cwd=project, env=variables, check=True)


@needs_compose
def test_compose_starts_a_worker_in_each_slot_and_one_broker_that_nobody_else_reaches(project):
    command = ["docker", "compose", "--profile", "*", "config", "--format", "json"]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "SERVER_MODE": "asgi"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True)
    services = json.loads(done.stdout)["services"]
    differs = {"command", "scale"}
    for slot in ("blue", "green"):
        ours, theirs = services[f"celery-{slot}"], services[f"worker-{slot}"]
        assert {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)} <= differs
    broker, redis = services["broker"], services["redis"]
    for name in (
        "image",
        "user",
        "read_only",
        "cap_drop",
        "security_opt",
        "logging",
        "networks",
        "restart",
        "pids_limit",
    ):
        assert broker[name] == redis[name]
    assert "ports" not in broker
    assert not broker.get("secrets")
    assert [volume["target"] for volume in broker["volumes"]] == ["/data", "/broker"]


@pytest.mark.skipif(not shutil.which("redis-server"), reason="There is no redis-server here.")
def test_a_task_is_done_by_a_worker_with_the_address_that_the_page_makes(project, variables, tmp_path):
    port, password = free_port(), secrets.token_hex(24)
    said = (project / "secrets/app/celery_broker_url").read_text().strip()
    assert len(said) == len(f"redis://:{password}@broker:6379/0")
    given = {**variables, "CELERY_BROKER_URL": f"redis://:{password}@127.0.0.1:{port}/0"}
    options = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", password, "--save", ""]
    worker = [sys.executable, "-m", "celery", "--app", "wisheasy", "worker", "--concurrency", "1"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(["redis-server", *options], stdout=log, cwd=tmp_path) as broker,
        subprocess.Popen(worker, cwd=project, env=given, stdout=log, stderr=log) as process,
    ):
        try:
            call(project, given, tmp_path / "written")
            eventually((tmp_path / "written").exists, within=60)
        finally:
            process.terminate()
            process.wait(30)
            broker.terminate()


def test_without_a_broker_a_task_is_done_where_it_is_called(project, variables, tmp_path):
    (project / "secrets/app/celery_broker_url").rename(tmp_path / "address")
    try:
        call(project, variables, tmp_path / "written")
    finally:
        (tmp_path / "address").rename(project / "secrets/app/celery_broker_url")
    assert (tmp_path / "written").exists()


def test_an_address_of_another_kind_is_refused_by_name(project, variables):
    result = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=project, env={**variables, "CELERY_BROKER_URL": "amqp://guest:guest@broker//"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.startswith("CELERY_BROKER_URL is wrong: expected an address such as redis://")
    assert len(result.stderr.splitlines()) == 1
