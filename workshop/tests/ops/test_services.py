"""What the doctor finds of the database and Redis, and how it says it."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from django_ox.models import OxTask

from kit import jobs
from kit.environment import as_mail_server
from kit.ops.doctor import services
from workshop.tests import certificates
from workshop.tests.mail_server import mail_server
from workshop.tests.servers import free_port

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no limit of connections")

DATABASE = {
    'connection failed: FATAL:  password authentication failed for user "wisheasy"': "refuses the servers' password",
    'FATAL:  database "wisheasy" does not exist': "does not exist",
    "FATAL:  sorry, too many clients already": "no connection left",
    "failed to resolve host 'postgres': [Errno -2] Name or service not known": "does not answer",
    "connection is bad: connection refused": "does not answer",
}


@pytest.mark.parametrize(("error", "what"), DATABASE.items(), ids=DATABASE.values())
def test_why_the_database_cannot_be_used_is_said(monkeypatch, error, what):
    monkeypatch.setitem(settings.DATABASES["default"], "USER", "wisheasy")
    assert what in services._no_database(error).what


def test_redis_that_is_away_is_named(monkeypatch):
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    (finding,) = services.check_redis()
    assert finding.what.startswith("Redis does not answer")


def test_without_redis_there_is_nothing_to_say(monkeypatch):
    monkeypatch.setattr(settings, "REDIS_URL", None)
    assert [*services.check_redis(), *services.check_push()] == []


@pytest.mark.django_db(transaction=True)
def test_a_database_that_answers_and_has_every_migration_is_fine():
    assert [
        finding.status for check in (services.check_database, services.check_migrations) for finding in check()
    ] == [
        "ok",
        "ok",
    ]


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_is_missing_is_named():
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("sessions", "0001_initial")
    try:
        (finding,) = services.check_migrations()
    finally:
        recorder.record_applied("sessions", "0001_initial")
    assert finding.what == "Migrations are not applied: sessions.0001_initial."


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("servers", "most", "status"),
    [
        pytest.param(2, 100, "ok", id="fits"),
        # Django's system checks say so.
        pytest.param(10**6, 100, "ok", id="over-what-we-reckon-with"),
        pytest.param(10**6, 10**7, "broken", id="over-what-there-is"),
    ],
)
def test_connections_that_postgresql_does_not_give_are_named(monkeypatch, servers, most, status):
    monkeypatch.setattr(settings, "DATABASE_CONNECTIONS", servers)
    monkeypatch.setattr(settings, "DATABASE_MAX_CONNECTIONS", most)
    (finding,) = services.check_connections()
    assert finding.status == status


def test_jobs_that_wait_and_jobs_that_failed_are_named(db):
    now = timezone.now()
    assert [finding.status for finding in services.check_jobs()] == ["ok"]
    job = {"task_path": "kit.jobs.prune", "backend_name": "default"}
    OxTask.objects.create(**job, enqueued_at=now - timedelta(minutes=20), run_after=now + timedelta(hours=1))
    assert [finding.status for finding in services.check_jobs()] == ["ok"]
    OxTask.objects.create(**job, enqueued_at=now - timedelta(minutes=20))
    OxTask.objects.create(**job, enqueued_at=now, finished_at=now, status="FAILED")
    waiting, failed = services.check_jobs()
    assert waiting.what.startswith("1 jobs wait, the oldest for 20 min")
    assert failed.what == "1 jobs failed for good within a day"
    assert "/admin/django_ox/oxtask/" in failed.fix


def test_jobs_are_pruned_after_a_day_and_failed_ones_after_thirty(db):
    def create(status, days):
        at = timezone.now() - timedelta(days=days)
        job = {"task_path": "kit.jobs.prune", "backend_name": "default", "status": status}
        return OxTask.objects.create(**job, enqueued_at=at, finished_at=at).pk

    kept = {create("SUCCESSFUL", 0), create("FAILED", 29)}
    create("SUCCESSFUL", 2)
    create("FAILED", 31)
    jobs.prune.func()
    assert set(OxTask.objects.values_list("pk", flat=True)) == kept


@pytest.fixture
def use_mail_server(settings):
    def use(url):
        settings.MAILERS = {**settings.MAILERS, "server": {"OPTIONS": as_mail_server(url)}}

    return use


def test_a_mail_server_that_takes_the_password_is_fine(use_mail_server, tmp_path, monkeypatch):
    certificate = certificates.issue(tmp_path / "certificate", "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    with mail_server(certificate=certificate) as server:
        use_mail_server(f"smtp://me:s3cret@localhost:{server.port}")
        assert [finding.status for finding in services.check_mail()] == ["ok"]
    with mail_server(certificate=certificate, takes_password=False) as server:
        use_mail_server(f"smtp://me:s3cret@localhost:{server.port}")
        (finding,) = services.check_mail()
    assert "535" in finding.what
    assert "s3cret" not in str(finding)


@pytest.mark.parametrize("why", ["refused", "STARTTLS", "CERTIFICATE_VERIFY_FAILED"])
def test_a_mail_server_that_cannot_be_used_is_named_without_the_password(use_mail_server, tmp_path, why):
    certificate = certificates.issue(tmp_path / "certificate", "localhost") if why.startswith("CERT") else None
    with mail_server(certificate=certificate) as server:
        port = free_port() if why == "refused" else server.port
        use_mail_server(f"smtp://me:s3cret@localhost:{port}")
        (finding,) = services.check_mail()
    assert finding.what.startswith(f"The mail server localhost:{port} does not work: ")
    assert why in finding.what
    assert "s3cret" not in str(finding)


def test_without_a_mail_server_it_says_so(settings):
    settings.MAILERS = {**settings.MAILERS, "server": {"BACKEND": "kit.mail.backend.NoServer"}}
    (finding,) = services.check_mail()
    assert (finding.status, finding.what) == ("ok", "no mail is sent: EMAIL_URL is missing")


def test_a_cache_in_memory_is_nothing_to_look_at(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    assert list(services.check_cache()) == []


def test_a_cache_that_is_away_is_named_without_the_password(settings):
    url = "redis://cache:s3cret@127.0.0.1:1/1"
    settings.CACHES = {"default": {"BACKEND": "kit.cache.RedisCache", "LOCATION": [url], "KEY_PREFIX": "cache"}}
    (finding,) = services.check_cache()
    assert finding.what.startswith("The cache in Redis does not work: ")
    assert "s3cret" not in str(finding)
