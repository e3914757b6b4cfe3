"""SITE_URL=https://… is all it takes: the certificate, from an authority in a container (Pebble), and what follows from
the address. In one mode: what is behind Nginx has no part in it."""

import asyncio
import json
import re
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
import yaml
from websockets.asyncio.client import connect

from workshop.tests.certificates import issue
from workshop.tests.servers import Poster, free_port

from . import testssl
from .conftest import BASE, Loopback, Machine, eventually

SITE, OTHER = "www.example.test", "example.test"
PEBBLE = {
    "listenAddress": "0.0.0.0:14000",
    "managementListenAddress": "0.0.0.0:15000",
    "certificate": "/pebble/cert.pem",
    "privateKey": "/pebble/key.pem",
    "httpPort": 8080,
    "tlsPort": 8443,
    "profiles": {"default": {"description": "of 90 days", "validityPeriod": 90 * 24 * 3600}},
}
OVERRIDE = {
    "services": {
        "pebble": {
            "image": "ghcr.io/letsencrypt/pebble:2.10.0",
            "command": ["pebble", "-config", "/pebble/config.json"],
            # By default it refuses one request in twenty, to try its clients, and the next attempt is a minute later.
            "environment": {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
            "networks": ["frontend"],
            "volumes": ["./pebble:/pebble:ro"],
        },
        "certificates": {
            "environment": {"REQUESTS_CA_BUNDLE": "/pebble/cert.pem"},
            "volumes": ["./pebble:/pebble:ro"],
        },
        "nginx": {"networks": {"frontend": {"aliases": [SITE, OTHER]}}},
    }
}
# Seconds after which a certificate that is there is used; docker/serve_nginx looks every 10.
ISSUED_WITHIN = 60
TAKEN_UP_WITHIN = 20


class Secure(Machine):
    project = "wisheasy-e2e-https"

    def __init__(self, checkout, folder):
        super().__init__(checkout, folder)
        self.tls_port = free_port()
        self.site = f"https://{SITE}:{self.tls_port}"
        self.other = f"https://{OTHER}:{self.tls_port}"
        self.authority = ssl.create_default_context()

    def run(self, *command, **variables):
        address = {
            "SITE_URL": f"{self.site},{self.other}",
            "HTTPS_PORT": str(self.tls_port),
            "ACME_DIRECTORY": "https://pebble:14000/dir",
        }
        return super().run(*command, **{**address, **variables})

    def client(self):
        # As a browser does with what it posts.
        headers = {"Origin": self.site}
        return httpx.Client(base_url=self.site, headers=headers, transport=Loopback(verify=self.authority), timeout=30)

    def http(self, path, host=SITE, **options):
        headers = {"Host": host, **options.pop("headers", {})}
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, **options)

    def handshake(self, name=SITE, root=None):
        """The certificate, as its parts, and the protocol that was agreed on."""
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=root or self.root)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", self.tls_port), timeout=10) as connection,
            context.wrap_socket(connection, server_hostname=name) as tls,
        ):
            return tls.getpeercert(), tls.selected_alpn_protocol()

    def wait_for_certificate(self, other_than=None, seconds=ISSUED_WITHIN):
        give_up = time.monotonic() + seconds
        while True:
            try:
                certificate, _ = self.handshake()
                if certificate["serialNumber"] != other_than:
                    return certificate
            except ssl.SSLCertVerificationError:
                pass
            assert time.monotonic() < give_up, self.compose("logs", "certificates").stdout
            time.sleep(0.5)

    def wait_until_refused(self, seconds=TAKEN_UP_WITHIN):
        give_up = time.monotonic() + seconds
        while True:
            try:
                self.handshake()
            except ssl.SSLCertVerificationError:
                return
            assert time.monotonic() < give_up
            time.sleep(0.5)


@pytest.fixture(scope="module")
def secure(checkout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("https") / "wisheasy"
    stack = Secure(checkout, folder)
    (folder / "docker-compose.override.yml").write_text(yaml.safe_dump(OVERRIDE))
    (folder / "pebble").mkdir()
    (folder / "pebble" / "config.json").write_text(json.dumps({"pebble": PEBBLE}))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=pebble", "-addext", "subjectAltName=DNS:pebble", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder / "pebble", check=True, capture_output=True,
    )  # fmt: skip
    (folder / "pebble" / "key.pem").chmod(0o644)
    try:
        stack.up("asgi")
        curl = ["curl", "-sk", "--max-time", "5", "https://pebble:15000/roots/0"]
        stack.root = stack.compose("exec", "-T", "nginx", *curl).stdout
        stack.authority.load_verify_locations(cadata=stack.root)
        yield stack
    finally:
        stack.remove()


def names(certificate):
    return {name for _, name in certificate["subjectAltName"]}


def test_a_certificate_for_every_name_of_the_site_is_issued_and_taken_up(secure, figures):
    begin = time.monotonic()
    certificate = secure.wait_for_certificate()
    figures.append(f"a certificate of the authority is served {time.monotonic() - begin:.0f} s after the start")
    assert names(certificate) == {SITE, OTHER}


def test_a_renewed_certificate_is_taken_up_and_no_request_fails(secure, figures):
    before = secure.wait_for_certificate()["serialNumber"]
    secure.compose("exec", "-T", "certificates", "certificates", "renew")
    begin = time.monotonic()
    with secure.client() as kept:
        while secure.handshake()[0]["serialNumber"] == before:
            assert time.monotonic() - begin < TAKEN_UP_WITHIN
            with secure.client() as new:
                assert {client.get("/").status_code for client in (kept, new)} == {200}
    figures.append(f"a renewed certificate is served {time.monotonic() - begin:.0f} s later")


def test_a_certificate_that_is_there_outlasts_a_new_nginx(secure):
    before = secure.wait_for_certificate()["serialNumber"]
    secure.compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "nginx")
    assert secure.handshake()[0]["serialNumber"] == before


def test_http_is_sent_on_to_https_and_other_names_to_the_first(secure):
    secure.wait_for_certificate()
    for host in (SITE, OTHER):
        answer = secure.http("/accounts/login/?next=/", host=host)
        assert (answer.status_code, answer.headers["Location"]) == (308, f"{secure.site}/accounts/login/?next=/")
    with secure.client() as client:
        answer = client.get(f"{secure.other}/accounts/login/")
        assert (answer.status_code, answer.headers["Location"]) == (308, f"{secure.site}/accounts/login/")
        assert client.get("/").status_code == 200


def test_health_and_challenges_are_answered_by_http(secure):
    assert secure.http("/healthz/ready").status_code == 200
    assert secure.http("/healthz/live", host="10.0.0.7").status_code == 200
    assert secure.http("/.well-known/acme-challenge/unknown").status_code == 404


def test_strangers_are_turned_away(secure):
    secure.wait_for_certificate()
    assert secure.http("/", host="evil.example").status_code == 421
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        secure.handshake("evil.example")
    with secure.client() as client:
        assert client.get("/", headers={"Host": "evil.example"}).status_code == 421


def test_http_on_the_port_of_https_is_answered_with_a_page(secure):
    for host in (SITE, "evil.example"):
        answer = httpx.get(f"http://127.0.0.1:{secure.tls_port}/", headers={"Host": host})
        assert (answer.status_code, "<h1>This request is not accepted</h1>" in answer.text) == (400, True)
        assert answer.headers.keys() >= {"x-request-id", "x-content-type-options", "content-security-policy"}


def test_a_member_signs_in_posts_and_follows_by_https(secure):
    secure.wait_for_certificate()
    with secure.client() as client:
        page = client.get("/probe/")
        assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert page.http_version == "HTTP/1.1"
        member = Poster(client)
        assert {cookie.name for cookie in client.cookies.jar} == {"__Host-csrftoken", "__Host-sessionid"}
        assert all(cookie.secure for cookie in client.cookies.jar)
        assert member.name in client.get("/probe/").text
        number = member.post("by https")
        style = re.search(r'href="(/static/[^"]+\.css)"', page.text)[1]
        assert client.get(style).headers["Strict-Transport-Security"] == "max-age=31536000"
    # On a thread of its own: the browser of the tests before has an event loop on this one.
    with ThreadPoolExecutor() as thread:
        thread.submit(asyncio.run, shown(secure, number)).result()


# As kit/ops/visitor.py does, and for the same reason.
async def shown(secure, number):
    """Until a live page has got it: with the first message, or with the next where a worker has not heard of it yet."""
    async with (
        asyncio.timeout(10),
        connect(
            f"wss://{SITE}:{secure.tls_port}/live/probe/ws?after=0", host="127.0.0.1", port=secure.tls_port,
            ssl=secure.authority, server_hostname=SITE, origin=secure.site, proxy=None,
        ) as websocket,
    ):  # fmt: skip
        while str(number) not in {change["id"] for change in json.loads(await websocket.recv())["changes"]}:
            pass


def test_http2_is_offered(secure):
    secure.wait_for_certificate()
    assert secure.handshake()[1] == "h2"


def test_testssl_finds_nothing_and_mozillas_intermediate_profile_holds(secure, tmp_path, figures):
    secure.wait_for_certificate()
    (tmp_path / "root.pem").write_text(secure.root)
    found = testssl.run(secure.site, tmp_path / "root.pem", tmp_path)
    figures.append(f"testssl.sh: {len(found)} findings in {found['scanTime']['finding']} s")
    assert testssl.bad(found) == {}
    assert found["cert_chain_of_trust"]["finding"] == "passed."
    for version in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        assert found[version]["finding"] == "not offered"
    assert {found[version]["severity"] for version in ("TLS1_2", "TLS1_3")} == {"OK"}
    assert set(found["PFS_ciphers"]["finding"].split()) <= testssl.CIPHERS
    assert set(found["PFS_ECDHE_curves"]["finding"].split()) == testssl.CURVES
    assert found["ticketbleed"]["finding"].startswith("no session ticket extension")


CLAIMS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}


# Puts a certificate and its key, in a folder NAME, in the place of those that the authority has issued.
REPLACE = """
set -eu
cd /certificates
umask 027
mkdir -p "$1"
printf '%s' "$2" >"$1/fullchain.pem"
printf '%s' "$3" >"$1/privkey.pem"
chmod "$4" "$1/privkey.pem"
ln -sfn "$1" site.new && mv -T site.new site
"""


@contextmanager
def replaced(secure, name, certificate, key, mode="640"):
    inside = ("exec", "-T", "certificates", "sh", "-c")
    before = secure.wait_for_certificate()["serialNumber"]
    issued = secure.compose(*inside, "readlink /certificates/site").stdout.strip()
    try:
        secure.compose(*inside, REPLACE, "sh", name, certificate.read_text(), key.read_text(), mode)
        yield before
    finally:
        secure.compose(*inside, f"ln -sfn {issued} /certificates/site")
        back = secure.wait_for_certificate(seconds=TAKEN_UP_WITHIN)
    assert back["serialNumber"] == before


def doctor(secure, folder):
    # The names of the site are known to no name server here.
    (folder / "getent").write_text("#!/bin/sh\necho 192.0.2.1 STREAM\n")
    (folder / "getent").chmod(0o755)
    result = secure.run("docker/doctor", "--json", check=False, PATH=f"{folder}:{BASE['PATH']}")
    return [finding for finding in json.loads(result.stdout) if finding["status"] == "broken"]


def test_the_doctor_names_an_expired_certificate_in_its_first_finding(secure, tmp_path):
    folder = issue(tmp_path / "expired", SITE, OTHER, last="20260201000000Z")
    with replaced(secure, "expired", folder / "cert.pem", folder / "key.pem"):
        secure.wait_until_refused()
        first = doctor(secure, tmp_path)[0]
    assert first["what"] == f"The certificate of {SITE}:{secure.tls_port} has expired."


def test_a_pair_that_does_not_fit_leaves_the_one_before_and_the_doctor_names_it(secure, tmp_path):
    one, other = (issue(tmp_path / name, SITE, OTHER) for name in ("one", "other"))
    with replaced(secure, "mismatch", one / "cert.pem", other / "key.pem") as before:
        eventually(
            lambda: "/certificates/mismatch is not taken up" in secure.compose("logs", "nginx").stdout, TAKEN_UP_WITHIN
        )
        assert secure.handshake()[0]["serialNumber"] == before
        # What else is reloaded meanwhile finds the one before.
        secure.compose("exec", "-T", "nginx", "nginx", "-c", "/srv/nginx/current/nginx.conf", "-s", "reload")
        assert secure.handshake()[0]["serialNumber"] == before
        (finding,) = [finding for finding in doctor(secure, tmp_path) if finding["check"] == "certificates"]
    assert finding["what"].startswith("The certificate in /certificates/mismatch is not taken up: ")
    assert "key values mismatch" in finding["what"]


def test_nginx_starts_without_a_key_that_it_cannot_read_and_takes_it_when_it_can(secure, tmp_path):
    folder = issue(tmp_path / "closed", SITE, OTHER)
    with replaced(secure, "closed", folder / "cert.pem", folder / "key.pem", mode="600"):
        secure.compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "nginx")
        with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
            secure.handshake()
        assert "privkey.pem' for reading: Permission denied" in secure.compose("logs", "nginx").stdout
        secure.compose("exec", "-T", "certificates", "chmod", "640", "/certificates/closed/privkey.pem")
        root = (folder / "ca.pem").read_text()
        eventually(lambda: shows(secure, root), TAKEN_UP_WITHIN)


def shows(secure, root):
    try:
        return secure.handshake(root=root)
    except ssl.SSLCertVerificationError:
        return False


def test_a_certificate_of_ones_own_is_installed_with_one_command(secure, tmp_path):
    before = secure.wait_for_certificate()["serialNumber"]
    folder = issue(tmp_path / "own", SITE, OTHER)
    certificate, key = ((folder / name).read_text() for name in ("cert.pem", "key.pem"))
    install = ("exec", "-T", "certificates", "certificates", "install")
    secure.compose("up", "--detach", "--no-deps", "certificates", ACME_DIRECTORY="off")
    try:
        wrong = secure.compose(*install, stdin=certificate, check=False)
        assert (wrong.returncode, "there is no key in it" in wrong.stderr) == (1, True)
        assert secure.handshake()[0]["serialNumber"] == before
        assert secure.compose(*install, stdin=certificate + key).stdout.startswith("Nginx shows it.")
        assert secure.handshake(root=(folder / "ca.pem").read_text())[0]["serialNumber"] != before
        secure.compose("exec", "-T", "certificates", "certificates", "health")
    finally:
        secure.compose("up", "--detach", "--no-deps", "certificates")
    assert secure.wait_for_certificate()["serialNumber"] == before


def test_what_a_visitor_claims_to_have_forwarded_counts_for_nothing(secure):
    assert secure.http("/", headers=CLAIMS).status_code == 308


@pytest.fixture(scope="module")
def behind_a_proxy(secure):
    """The stack with Docker's gateway, from which the tests come, as a trusted proxy. And with HTTP/3."""
    networks = secure.run(
        "docker", "network", "inspect", f"{secure.project}_frontend", "--format", "{{(index .IPAM.Config 0).Subnet}}"
    ).stdout.strip()
    secure.run("make", "release", TRUSTED_PROXIES=networks, HTTP3="1")
    return secure


def test_behind_a_proxy_that_holds_the_certificate_its_word_counts(behind_a_proxy):
    page = behind_a_proxy.http("/", headers=CLAIMS)
    assert page.status_code == 200
    assert page.headers["Strict-Transport-Security"]
    assert behind_a_proxy.http("/", headers={"X-Forwarded-Proto": "http"}).status_code == 308
    # Of more than one proxy: the first has seen the visitor.
    for lines in (["https,http"], ["https, http"], ["https", "http"]):
        claims = [("Host", SITE), *(("X-Forwarded-Proto", line) for line in lines)]
        assert httpx.get(f"http://127.0.0.1:{behind_a_proxy.port}/", headers=claims).status_code == 200
    eventually(lambda: '"client":"203.0.113.7"' in behind_a_proxy.compose("logs", "--tail", "20", "nginx").stdout)


def test_http3_is_offered_where_it_is_asked_for(behind_a_proxy):
    with behind_a_proxy.client() as client:
        assert client.get("/").headers["Alt-Svc"].startswith(f'h3=":{behind_a_proxy.tls_port}"')
    answer = behind_a_proxy.compose(
        "exec", "-T", "nginx", "curl", "-sk", "--http3-only", "--resolve", f"{SITE}:8443:127.0.0.1",
        "-o", "/dev/null", "-w", "%{http_version} %{http_code}", f"https://{SITE}:8443/",
    )  # fmt: skip
    assert answer.stdout == "3 200"
