"""Mail: kept with what the request wrote, sent by the mailer `server`, shown on a developer's machine alone."""

import re
import smtplib

import pytest
from django.core.mail import EmailMultiAlternatives, mailers, send_mail
from django.db import transaction

from kit.environment import WrongPart, as_mail_server
from kit.mail import tasks
from kit.mail.models import Message

from . import certificates
from .mail_server import mail_server
from .servers import free_port
from .test_jobs import Jobs


@pytest.fixture
def sent(monkeypatch):
    """What reaches the mail server: sender, recipients and bytes."""
    sent = []

    class Connection:
        def __init__(self, *arguments, **options):
            pass

        def sendmail(self, *envelope):
            sent.append(envelope)

        def quit(self):
            pass

    monkeypatch.setattr(smtplib, "SMTP", Connection)
    return sent


@pytest.fixture(autouse=True)
def mail_settings(settings):
    settings.MAILERS = {
        "default": {"BACKEND": "kit.mail.backend.Queue"},
        "server": {"OPTIONS": {"host": "mail.example.com"}},
    }
    settings.MAIL_SHOWN, settings.WORKER_PROCESSES = False, 1


def full():
    message = EmailMultiAlternatives(
        "안녕", "text\n", "Shop <shop@example.com>", ["Ann <ann@example.com>"],
        bcc=["bob@example.com"], cc=["carl@example.com"], reply_to=["help@example.com"],
        headers={"Message-ID": "<1@example.com>", "Date": "Fri, 27 Nov 2026 01:00:00 +0000", "X-Kind": "x" * 200},
    )  # fmt: skip
    message.attach_alternative("<p>text é</p>", "text/html")
    message.attach("a.bin", b"\x00\xff", "application/octet-stream")
    return message


@pytest.mark.django_db
@pytest.mark.parametrize("is_encrypted", [False, True], ids=["clear", "starttls"])
def test_what_a_job_sends_arrives_as_what_django_sends(settings, tmp_path, monkeypatch, is_encrypted):
    certificate = certificates.issue(tmp_path / "certificate", "localhost") if is_encrypted else None
    if certificate:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    with mail_server(certificate=certificate) as server:
        url = f"smtp://{'me:p%40ss@' if certificate else ''}localhost:{server.port}"
        settings.MAILERS = {**settings.MAILERS, "server": {"OPTIONS": as_mail_server(url)}}
        mailers["server"].send_messages([full()])
        assert mailers["default"].send_messages([full(), full()]) == 2
        for key in Message.objects.values_list("pk", flat=True):
            tasks.send.call(key)
    # The boundaries between the parts are random.
    mails = [(*envelope, re.sub(rb"={15}[0-9]+==", b"=", content)) for *envelope, content in server.mails]
    assert mails == [mails[0]] * 3
    sender, recipients, content = mails[0]
    assert "shop@example.com" in sender
    assert [who for who in ("ann", "bob", "carl") if any(f"<{who}@" in each for each in recipients)] == [
        "ann", "bob", "carl",
    ]  # fmt: skip
    assert b"bob@" not in content
    assert not Message.objects.exists()


def test_a_mail_waits_for_a_server_that_is_away(tmp_path):
    port = free_port()
    jobs = Jobs("wsgi", tmp_path, EMAIL_URL=f"smtp://127.0.0.1:{port}", BACKOFF="2")
    code = "from django.core.mail import send_mail; send_mail('Hello', 'text', None, ['ann@example.com']); "
    with jobs.serve():
        task = jobs.run(f"{code}print(OxTask.objects.get(task_path='kit.mail.tasks.send').pk)")
        jobs.comes_to(task, "READY 1")
        with mail_server(port) as server:
            jobs.comes_to(task, "SUCCESSFUL 2", "SUCCESSFUL 3")
    assert [b"Subject: Hello" in content for *_, content in server.mails] == [True]
    assert jobs.run("from kit.mail.models import Message; print(Message.objects.count())") == "0"


@pytest.mark.django_db
def test_the_bytes_are_those_that_were_made(sent):
    message = EmailMultiAlternatives("é" * 90, "text é\n", to=["a@example.com"], headers={"X-Long": "word " * 60})
    mailers["default"].send_messages([message])
    kept = Message.objects.get()
    content = bytes(kept.content)
    kept.deliver()
    assert sent[0][2] == content


@pytest.mark.django_db
def test_a_request_that_is_rolled_back_sends_nothing():
    with transaction.atomic():
        send_mail("Subject", "secret", None, ["a@example.com"])
        transaction.set_rollback(True)
    assert not Message.objects.exists()


@pytest.mark.django_db
def test_a_job_has_the_key_alone_and_a_failure_stays(settings):
    from django_ox.models import OxTask

    settings.MAILERS = {**settings.MAILERS, "server": {"BACKEND": "kit.mail.backend.NoServer"}}
    send_mail("Subject", "secret", None, ["a@example.com"])
    kept = Message.objects.get()
    assert str(OxTask.objects.values().get()).count("secret") == 0
    with pytest.raises(Exception, match="EMAIL_URL is missing"):
        tasks.send.call(kept.pk)
    kept.refresh_from_db()
    assert "EMAIL_URL is missing" in kept.error


@pytest.mark.django_db(transaction=True)
def test_without_a_worker_it_is_sent_in_the_request_and_a_failure_is_no_error_page(settings, sent):
    settings.WORKER_PROCESSES = 0
    assert send_mail("Subject", "text", None, ["a@example.com"]) == 1
    assert len(sent) == 1
    settings.MAILERS = {**settings.MAILERS, "server": {"BACKEND": "kit.mail.backend.NoServer"}}
    assert send_mail("Subject", "text", None, ["a@example.com"]) == 1
    assert Message.objects.get().error


@pytest.mark.django_db
def test_mails_are_shown_to_this_machine_alone(settings, client):
    settings.MAIL_SHOWN, settings.SLOT = True, None
    message = full()
    message.send()
    key = Message.objects.get().pk
    for path, part in (
        ("/dev/mail/", "안녕"),
        (f"/dev/mail/{key}", "text"),
        (f"/dev/mail/{key}/html", "<p>text é</p>"),
    ):
        answer = client.get(path)
        assert part in answer.content.decode()
        assert client.get(path, REMOTE_ADDR="192.0.2.1").status_code == 404
        assert client.get(path, HTTP_X_FORWARDED_FOR="127.0.0.1").status_code == 404
    assert "sandbox" in answer["Content-Security-Policy"]
    assert "script-src" not in answer["Content-Security-Policy"]
    settings.MAIL_SHOWN = False
    assert client.get("/dev/mail/").status_code == 404


@pytest.mark.django_db
def test_the_admin_shows_no_content(staff):
    send_mail("Subject", "secret", None, ["a@example.com"])
    kept = Message.objects.get()
    for path in ("", f"{kept.pk}/change/"):
        page = staff.client.get(f"/admin/mail/message/{path}").content.decode()
        assert "a@example.com" in page
        assert "secret" not in page


def test_a_password_never_travels_in_clear():
    assert as_mail_server("smtp://me:p%40ss@mail.example.com:25")["use_tls"]
    options = as_mail_server("smtps://me:p%40ss@mail.example.com")
    assert (options["port"], options["use_ssl"], options["password"]) == (465, True, "p@ss")
    assert not as_mail_server("smtp://localhost:1025")["use_tls"]


@pytest.mark.parametrize(
    "value", ["imap://host", "smtp://me@host", "smtp://me:a#b@host", "host:25", "smtp://host/?tls=1"]
)
def test_another_address_is_refused(value):
    with pytest.raises(ValueError) as fault:  # noqa: PT011
        as_mail_server(value)
    if value.startswith("imap"):
        assert isinstance(fault.value, WrongPart)
        assert "'imap'" in str(fault.value)
