"""METRICS=1 and SENTRY_DSN in the stack: who is answered, and what arrives."""

import httpx
import pytest

from workshop.tests.test_error_reports import ingest_at, reports_of

from .conftest import eventually
from .test_jobs import shell

# Hybrid has both kinds of server.
pytestmark = pytest.mark.modes("hybrid")

GET = "from urllib.request import urlopen; print(urlopen('http://{}:9100/metrics', timeout=10).read().decode())"

FAIL_ONCE = """
from django.db import transaction
from django_ox.models import OxTask
from workshop.probe.tasks import fail
with transaction.atomic():
    OxTask.objects.filter(pk=fail.enqueue().id).update(max_attempts=1)
"""


def metrics(stack, service):
    """As another container of the network reads them."""
    answer = stack.compose("exec", "-T", "waiting-room", "python", "-c", GET.format(service), check=False).stdout
    lines = [line for line in answer.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.fixture(scope="module")
def ingest(stack, gateway):
    with ingest_at(gateway) as server:
        secret = stack.folder / "secrets/app/sentry_dsn"
        secret.write_text(f"http://key@{gateway}:{server.server_port}/1\n")
        secret.chmod(0o644)
        stack.run("docker/configure", "METRICS=1")
        stack.run("make", "release")
        yield server
        secret.unlink()
        stack.run("docker/configure", "METRICS=0")


def test_each_server_answers_prometheus_in_the_inner_network_alone(stack, ingest):
    for service in stack.serving():
        found = metrics(stack, service)
        assert found["serving_database_connections_bound"] > 0
        assert ("jobs_oldest_waiting_seconds" in found) == service.startswith("web-")
        assert stack.compose("port", service, "9100", check=False).stdout.strip() in ("", ":0", "invalid IP:0")
    pages = metrics(stack, f"web-{stack.slot()}")
    assert pages["serving_database_connections"] > 0
    assert pages['jobs{state="waiting"}'] >= 0
    assert httpx.get(f"{stack.url}/metrics").status_code == 404


def test_a_killed_worker_is_counted_and_its_sums_stay(stack, ingest):
    web = f"web-{stack.slot()}"
    httpx.get(f"{stack.url}/probe/")
    before = metrics(stack, web)
    httpx.get(f"{stack.url}/probe/die/figures", timeout=60)
    stack.seconds_until_ready()

    def counted():
        now = metrics(stack, web)
        return now.get("serving_workers_started_total", 0) > before["serving_workers_started_total"] and now

    after = eventually(counted)
    requests = [name for name in before if name.startswith("django_http_requests_total")]
    assert requests
    assert all(after[name] >= before[name] for name in requests)


def test_a_job_of_the_worker_container_reports_its_error(stack, ingest):
    shell(stack, FAIL_ONCE)
    report = reports_of(ingest, "never", seconds=30)[0]
    assert report["tags"]["slot"] == stack.slot()
