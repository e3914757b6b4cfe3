"""What a certificate's owner has to know of it, from a server that shows it."""

import ssl
import threading
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, create_server

import pytest
from django.conf import settings

from kit.ops.doctor import visits
from kit.ops.doctor.certificate import certificate
from workshop.tests.certificates import issue, self_sign

NAME = "www.example.com"


@contextmanager
def shown(folder):
    """The port of a server that shows it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            with suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()
            connection.close()

    with create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            # close() alone leaves accept() waiting.
            listener.shutdown(SHUT_RDWR)
            thread.join()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    return {
        "good": issue(folder / "good", NAME),
        "expired": issue(folder / "expired", NAME, last="20260201000000Z"),
        "early": issue(folder / "early", NAME, first="20980101000000Z"),
        "other": issue(folder / "other", "other.example"),
        "self-signed": self_sign(folder / "self-signed"),
    }


@pytest.mark.parametrize(
    ("which", "fault"),
    [
        ("expired", "has expired"),
        ("early", "is not valid yet"),
        ("other", "is for another name"),
        ("self-signed", "is self-signed: no authority has issued one"),
    ],
)
def test_what_is_wrong_with_it_is_said_whoever_has_issued_it(folders, which, fault):
    with shown(folders[which]) as port:
        assert certificate("127.0.0.1", port, NAME, 5).fault == fault


def test_of_a_good_one_the_days_are_counted_and_who_issued_it_is_doubted(folders):
    with shown(folders["good"]) as port:
        found = certificate("127.0.0.1", port, NAME, 5)
    assert found.fault is None
    assert 365 * 70 < found.days < 365 * 74
    assert "issuer" in found.distrust


def test_who_is_trusted_is_not_doubted(folders, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(folders["good"] / "ca.pem"))
    with shown(folders["good"]) as port:
        assert certificate("127.0.0.1", port, NAME, 5).distrust is None


@pytest.fixture
def findings(folders, monkeypatch):
    """What the doctor finds where Nginx shows that certificate, and the public address can't be reached."""

    def findings(which):
        site = "https://www.example.com:1"
        monkeypatch.setattr(settings, "SITE_URLS", [site])
        monkeypatch.setattr(visits, "NGINX", "127.0.0.1")
        with shown(folders[which]) as port:
            monkeypatch.setitem(visits.PORTS, "https", port)
            return list(visits.check_certificate())

    return findings


def test_the_doctor_names_an_expired_certificate(findings):
    (finding,) = findings("expired")
    assert finding.status == "broken"
    assert finding.what == "The certificate of www.example.com:1 has expired."
    assert "certificates" in finding.fix


def test_the_doctor_names_one_without_its_chain(findings):
    (finding,) = findings("good")
    assert finding.status == "broken"
    assert finding.what.startswith("No browser trusts the certificate of www.example.com:1: ")
    assert "chain" in finding.fix


def test_the_doctor_warns_of_one_that_is_about_to_expire(findings, folders, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(folders["good"] / "ca.pem"))
    monkeypatch.setattr(visits, "DAYS_LEFT", 365 * 80)
    (finding,) = findings("good")
    assert finding.status == "warning"


def test_the_doctor_is_content_with_a_good_one(findings, folders, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(folders["good"] / "ca.pem"))
    assert [finding.status for finding in findings("good")] == ["ok"]
