"""Figures, reports and mail in the stack, turned on as docs/product.md says: who is answered, and what arrives."""

import re
import time

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from workshop.tests.mail_server import mail_server
from workshop.tests.servers import free_port
from workshop.tests.test_accounts import sign_up
from workshop.tests.test_error_reports import ingest_at, reports_of

from .conftest import eventually
from .test_attacks import FORGED
from .test_jobs import enqueue, shell, state

GET = "from urllib.request import urlopen; print(urlopen('http://{}:9100/metrics', timeout=10).read().decode())"

FAIL_ONCE = """
from django.db import transaction
from django_ox.models import OxTask
from workshop.probe.tasks import fail
with transaction.atomic():
    task = fail.enqueue()
    OxTask.objects.filter(pk=task.id).update(max_attempts=1)
print(task.id)
"""
STAFF = (
    "from apps.accounts.models import User; User.objects.filter(username='{}').update(is_staff=True, is_superuser=True)"
)
# Why the mails to an address are not sent yet.
UNSENT = (
    "from kit.mail.models import Message; "
    "print(*Message.objects.filter(recipients__icontains='{}').values_list('error', flat=True))"
)


def metrics(stack, service):
    """As another container of the network reads them."""
    answer = stack.compose("exec", "-T", "waiting-room", "python", "-c", GET.format(service), check=False).stdout
    lines = [line for line in answer.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.fixture(scope="module")
def mail_port():
    return free_port()


@pytest.fixture(scope="module")
def ingest(stack, gateway, mail_port):
    with ingest_at(gateway) as server:
        secrets = {
            "sentry_dsn": f"http://key@{gateway}:{server.server_port}/1",
            "email_url": f"smtp://{gateway}:{mail_port}",
        }
        for name, value in secrets.items():
            (stack.folder / "secrets/app" / name).write_text(f"{value}\n")
            (stack.folder / "secrets/app" / name).chmod(0o644)
        stack.run("docker/configure", "METRICS=1")
        stack.run("make", "release")
        yield server
        for name in secrets:
            (stack.folder / "secrets/app" / name).unlink()
        stack.run("docker/configure", "METRICS=0")
        # The doctor would name those that failed.
        shell(stack, "from django_ox.models import OxTask; OxTask.objects.all().delete()")


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


# It has both kinds of server.
@pytest.mark.modes("hybrid")
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


def test_a_job_is_done_and_one_that_fails_is_reported_and_shown_in_the_admin(stack, ingest):
    done, failed = enqueue(stack, "note.enqueue('done')"), shell(stack, FAIL_ONCE)
    report = reports_of(ingest, "never", seconds=30)[0]
    assert report["tags"]["slot"] == stack.slot()
    eventually(lambda: (state(stack, done), state(stack, failed)) == ("SUCCESSFUL 1", "FAILED 1"), within=30)
    with stack.member() as member:
        shell(stack, STAFF.format(member.name))
        tasks = "/admin/django_ox/oxtask/"
        listed = member.client.get(tasks, params={"status__exact": "FAILED"}).text
        assert (f"{tasks}{failed}/change/" in listed, f"{tasks}{done}/change/" in listed) == (True, False)
        assert "RuntimeError: never" in member.client.get(f"{tasks}{failed}/change/").text


def test_a_page_reports_its_error_without_what_is_secret(stack, ingest):
    # Nobody's account can't be saved.
    address = f"{stack.url}/probe/self/deactivate?q=s3cret-query"
    secret = {"Cookie": "sessionid=s3cret-cookie", "Authorization": "Bearer s3cret-header"}
    assert httpx.post(address, data={"typed": "s3cret-body"}, headers=secret, timeout=30).status_code == 500
    report = reports_of(ingest, "AnonymousUser")[0]
    assert report["tags"] == {"mode": stack.mode, "role": "pages", "slot": stack.slot()}
    assert "s3cret" not in str(ingest.taken)


@pytest.mark.modes("asgi", "hybrid")
def test_a_websocket_reports_its_error_without_what_is_secret(stack, ingest):
    address = f"ws{stack.url[4:]}/live/probe/own/0?q=s3cret-query"
    secret = {"Cookie": "sessionid=s3cret-cookie"}
    with pytest.raises(InvalidStatus), connect(address, origin=stack.url, additional_headers=secret):
        pass
    tags = reports_of(ingest, "told to fail")[0]["tags"]
    assert (tags["mode"], tags["role"]) == (stack.mode, "live" if stack.mode == "hybrid" else "pages")
    assert "s3cret" not in str(ingest.taken)


def test_a_mail_waits_for_a_server_that_is_away_and_no_visitor_does(stack, ingest, gateway, mail_port):
    address = f"{stack.mode}@example.com"
    with stack.client(headers=FORGED) as client:
        began = time.monotonic()
        assert sign_up(client, f"mail-{stack.mode}", email=address).status_code == 302
        assert time.monotonic() - began < 5
    # Others may wait beside it.
    unsent = UNSENT.format(address)
    eventually(lambda: "refused" in shell(stack, unsent), within=30)
    with mail_server(mail_port, host=gateway) as server:
        # Tried again after 5, 10 and 20 seconds.
        eventually(lambda: server.texts(address), within=60)
        eventually(lambda: shell(stack, unsent) == "")
    [mail] = server.texts(address)
    # Whatever a request says of the host: the link confirms an account, or resets its password.
    assert f"{stack.url}/accounts/" in mail
    assert not re.search("forged|https:|4443", mail)
