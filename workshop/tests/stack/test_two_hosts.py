"""deploy/two-hosts.md and deploy/load-balancer.md on a real engine: three machines, each a project of its
own, and an Nginx in front of two of them. Their files and commands are those of the pages."""

import json
import os
import re
import secrets
import socket
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from workshop.tests.certificates import issue
from workshop.tests.recipes import blocks, text, variables
from workshop.tests.servers import Poster, free_port

from .conftest import Loopback, Machine, eventually

SITE = "www.example.com"
# Where the pages have the data host, and what it listens on; and the web hosts.
DATA_HOST = "10.0.0.10"
WEB_HOSTS = {"a": "10.0.0.11:80", "b": "10.0.0.12:80"}


@dataclass
class Hosts:
    web: dict[str, Machine]
    http_port: int
    https_port: int
    authority: ssl.SSLContext
    # What the first release on each has said.
    said: dict[str, str] = field(default_factory=dict)

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"https://{SITE}:{self.https_port}", headers={"Origin": f"https://{SITE}:{self.https_port}"},
            transport=Loopback(verify=self.authority), timeout=30,
        )  # fmt: skip

    def behind(self, host: Machine, path: str) -> httpx.Response:
        """What that one answers the balancer."""
        headers = {"Host": f"{SITE}:{self.https_port}", "X-Forwarded-Proto": "https"}
        return httpx.get(f"{host.url}{path}", headers=headers, timeout=10)

    @contextmanager
    def page_on(self, host: Machine):
        """A live page on that one."""
        with (
            socket.create_connection(("127.0.0.1", host.port), timeout=10) as connection,
            connect(
                f"ws://{SITE}:{self.https_port}/live/probe/ws", sock=connection,
                origin=f"https://{SITE}:{self.https_port}", additional_headers={"X-Forwarded-Proto": "https"},
            ) as websocket,
        ):  # fmt: skip
            websocket.recv(timeout=10)
            yield websocket


@pytest.fixture(scope="module")
def data_ports():
    """What the ports of the pages are here."""
    return {port: str(free_port()) for port in ("5432", "6380")}


@pytest.fixture(scope="module")
def data_host(checkout, data_ports, tmp_path_factory, gateway):
    host = Machine(checkout, tmp_path_factory.mktemp("data") / "wisheasy", "wisheasy-e2e-data")
    prepare, start = blocks("two-hosts.md", "sh")[:2]
    override = blocks("two-hosts.md", "yaml")[0]
    for inside, outside in data_ports.items():
        override = override.replace(f"{DATA_HOST}:{inside}:{inside}", f"{gateway}:{outside}:{inside}")
    host.write("docker-compose.override.yml", override)
    # Without root there is no chown.
    prepare = prepare.replace(DATA_HOST, gateway).replace("sudo ", "" if os.geteuid() == 0 else "sudo -n ")
    try:
        host.run("bash", "-euc", prepare)
        host.run("bash", "-euc", start)
        yield host
    finally:
        host.remove()


@pytest.fixture(scope="module")
def hosts(checkout, data_host, data_ports, tmp_path_factory, gateway):
    certificate = issue(tmp_path_factory.mktemp("site") / "given", SITE)
    folder = tmp_path_factory.mktemp("hosts")
    web = {name: Machine(checkout, folder / name, f"wisheasy-e2e-host-{name}") for name in WEB_HOSTS}
    hosts = Hosts(web, free_port(), free_port(), ssl.create_default_context(cafile=certificate / "ca.pem"))
    balancer = f"wisheasy-e2e-balancer-{secrets.token_hex(4)}"
    try:
        for name, host in web.items():
            addresses = addresses_of(
                data_host, {f"{DATA_HOST}:{each}": f"{gateway}:{data_ports[each]}" for each in data_ports}
            )
            prepare_web_host(host, data_host, addresses, f"https://{SITE}:{hosts.https_port}")
            # One image: the second takes that of the first.
            hosts.said[name] = host.run("make", "up-asgi", **({"TAG": "blue"} if name == "b" else {})).stdout
        (certificate / "default.conf").write_text(configuration(web, gateway))
        start_balancer(balancer, hosts, certificate)
        eventually(lambda: answers(hosts))
        yield hosts
    finally:
        web["a"].run("docker", "rm", "--force", balancer, check=False)
        for host in web.values():
            host.remove()


def addresses_of(data: Machine, here: dict[str, str]) -> dict[str, str]:
    """The secrets that are addresses, as the page has them."""
    page = text("two-hosts.md")
    for theirs, ours in here.items():
        page = page.replace(theirs, ours)
    found = {}
    for secret, start, service in (
        ("database_url", "postgres://", "postgres"),
        ("redis_url", "rediss://app:", "redis"),
        ("app/cache_url", "rediss://cache:", "redis"),
    ):
        password = (data.folder / "secrets" / f"{service}_password").read_text().strip()
        found[secret] = re.search(rf"^{start}.*$", page, re.MULTILINE)[0].replace("PASSWORD", password)
    return found


def prepare_web_host(host: Machine, data: Machine, addresses: dict[str, str], site: str) -> None:
    host.write("docker-compose.override.yml", blocks("two-hosts.md", "yaml")[1])
    host.write("data-ca.pem", (data.folder / "tls/ca.pem").read_text())
    (host.folder / "secrets").mkdir(mode=0o700)
    (host.folder / "secrets/app").mkdir()
    for name in ("secret_key", "postgres_password", "redis_password"):
        host.write(f"secrets/{name}", (data.folder / "secrets" / name).read_text())
    for name, address in addresses.items():
        host.write(f"secrets/{name}", address)
    given = {
        **variables(blocks("load-balancer.md", "ini")[0]), **variables(blocks("two-hosts.md", "ini")[0]),
        "SITE_URL": site, "HTTP_PORT": str(host.port),
        "TRUSTED_PROXIES": "172.16.0.0/12,192.168.0.0/16", "WEB_CONCURRENCY": "1", "IMAGE": "wisheasy-e2e-host-a",
    }  # fmt: skip
    host.run("docker/configure", *(f"{name}={value}" for name, value in given.items()))


def configuration(web: dict[str, Machine], gateway: str) -> str:
    """That of the balancer, with what the page of two hosts changes."""
    (text,) = blocks("load-balancer.md", "nginx")
    upstream, static = blocks("two-hosts.md", "nginx")
    text = re.sub(r"upstream hosts \{.*?\n\}\n", upstream, text, flags=re.DOTALL)
    text = text.replace("    location / {", f"{static}    location / {{")
    for name, address in WEB_HOSTS.items():
        text = text.replace(address, f"{gateway}:{web[name].port}")
    return text


def start_balancer(container: str, hosts: Hosts, files: Path) -> None:
    docker = partial(hosts.web["a"].run, "docker")
    ports = ("--publish", f"{hosts.http_port}:80", "--publish", f"{hosts.https_port}:443")
    docker("create", "--name", container, *ports, "nginx:1.30")
    docker("cp", f"{files}/default.conf", f"{container}:/etc/nginx/conf.d/default.conf")
    docker("cp", f"{files}/.", f"{container}:/etc/nginx/site")
    docker("start", container)


def answers(hosts: Hosts) -> bool:
    """Docker takes connections for a container that does not listen yet, and ends them."""
    try:
        with hosts.client() as client:
            return client.get("/healthz/live").is_success
    except httpx.TransportError:
        return False


def test_behind_a_balancer_the_site_is_https_and_the_visitor_is_the_visitor(hosts):
    with hosts.client() as client:
        page = client.get("/")
        assert page.status_code == 200
        assert page.headers["Strict-Transport-Security"]
        Poster(client)
        client.get("/?from=far", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.7"})

    def logs():
        return "".join(host.compose("logs", "--tail", "20", "nginx").stdout for host in hosts.web.values())

    # The last that is no proxy; the balancer has added this machine's own, which is among them.
    eventually(lambda: '"client":"203.0.113.7"' in logs())
    assert "198.51.100.1" not in logs()
    redirect = httpx.get(f"http://127.0.0.1:{hosts.http_port}/", headers={"Host": SITE})
    assert (redirect.status_code, redirect.headers["Location"]) == (308, f"https://{SITE}:{hosts.https_port}/")
    # The balancer asks by address.
    assert {httpx.get(f"{host.url}/healthz/ready").status_code for host in hosts.web.values()} == {200}


def test_two_hosts_are_one_site(hosts):
    a, b = hosts.web.values()
    # The database is elsewhere, and backed up all the same before it is migrated.
    assert [line.split()[0] for line in hosts.said["a"].splitlines()].count("backup") == 1
    assert "is up in asgi mode" in hosts.said["b"]
    images = [host.run("docker", "image", "inspect", "--format", "{{.Id}}", f"{host.project}:blue") for host in (a, b)]
    assert images[0].stdout == images[1].stdout
    for host in (a, b):
        assert hosts.behind(host, "/healthz/ready").json()["status"] == "ready"
    with hosts.client() as client, hosts.page_on(a) as on_a, hosts.page_on(b) as on_b:
        number = Poster(client).post("for both")
        for page in (on_a, on_b):
            assert [change["id"] for change in json.loads(page.recv(timeout=10))["changes"]] == [str(number)]
    shell = ["exec", "-T", "web-blue", "python", "manage.py", "shell", "--verbosity", "0", "--command"]
    a.compose(*shell, "from django.core.cache import cache; cache.set('seen', 'by both')")
    assert "by both" in b.compose(*shell, "from django.core.cache import cache; print(cache.get('seen'))").stdout


def test_a_file_that_one_host_alone_has_is_found(hosts):
    a, b = hosts.web.values()
    new = "new.0123456789ab.css"
    volume = f"{a.project}_nginx:/srv/nginx"
    a.run("docker", "run", "--rm", "--volume", volume, "nginx:1.30", "touch", f"/srv/nginx/blue/static/{new}")
    assert [hosts.behind(host, f"/static/{new}").status_code for host in (a, b)] == [200, 404]
    with hosts.client() as client:
        assert {client.get(f"/static/{new}").status_code for _ in range(6)} == {200}
        assert client.get("/static/nowhere.css").status_code == 404


def test_when_one_host_is_down_the_other_serves(hosts):
    a, _ = hosts.web.values()
    a.compose("stop", "nginx")
    with hosts.client() as client:
        assert {client.get("/").status_code for _ in range(6)} == {200}
