"""The deploy job of CI, against a host of its own: an SSH server on loopback, an empty folder, and images by digest
from a registry. What runs is the step of deploy.yml, with the variables that it gets there."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from workshop.tests.servers import PASSWORD, ROOT, free_port

from .conftest import Stack
from .load import Load

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())
STEP = next(step for step in WORKFLOW["jobs"]["deploy"]["steps"] if step.get("name") == "Deploy")
# What the images of the test differ in from the first: its page, and the files that a host gets of it.
SECOND = (
    "sed -i 's/<main>/<!-- second --><main>/' workshop/probe/templates/probe/page.html"
    " && echo '# second' >>/host/Makefile"
)
CRASHING = "sed -i '1i raise SystemExit(\"drill\")' workshop/lab/asgi.py && echo '# crashing' >>/host/Makefile"


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, **options).stdout


@contextmanager
def running(*command, port, log):
    """A server, until the context ends."""
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            for _ in range(100):
                assert server.poll() is None, log.read_text()
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Images that `docker login` alone can pull."""
    folder = tmp_path_factory.mktemp("registry")
    port = free_port()
    script = 'print "wisheasy:", crypt($ENV{PASSWORD}, q($2b$05$) . "a" x 22), "\\n"'
    (folder / "users").write_text(run("perl", "-e", script, env={**os.environ, "PASSWORD": PASSWORD}))
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "auth": {"htpasswd": {"realm": "tests", "path": str(folder / "users")}},
    }
    (folder / "config.yml").write_text(yaml.safe_dump(settings))
    with running("docker-registry", "serve", str(folder / "config.yml"), port=port, log=folder / "log"):
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def images(checkout, registry, tmp_path_factory):
    """The digest of each, by what it is."""
    docker = ["docker", "--config", str(tmp_path_factory.mktemp("docker"))]
    run(*docker, "login", "--username", "wisheasy", "--password-stdin", registry, input=PASSWORD)
    name = f"{registry}/tests/wisheasy"
    digests = {}
    try:
        for tag, change in {"first": None, "second": SECOND, "crashing": CRASHING}.items():
            made = f"FROM {name}:first\nUSER root\nRUN {change}\nUSER 10001:10001\n"
            source = [str(checkout)] if change is None else ["-"]
            run("docker", "build", "--quiet", "--tag", f"{name}:{tag}", *source, input=None if change is None else made)
            run(*docker, "push", "--quiet", f"{name}:{tag}")
            known = run("docker", "image", "inspect", "--format", "{{json .RepoDigests}}", f"{name}:{tag}")
            digests[tag] = next(digest for digest in json.loads(known) if digest.startswith(name))
        yield digests
    finally:
        listed = run("docker", "images", "--quiet", name).split()
        subprocess.run(["docker", "rmi", "--force", *listed], capture_output=True, check=False)


class Host(Stack):
    """A machine that has Docker, an SSH server and an empty home. What CI knows of it is in `variables`."""

    project = "wisheasy-e2e-deploy"

    def __init__(self, home: Path):
        super().__init__(home / "site")
        self.variables: dict[str, str] = {}

    def begin(self, image: str, **environment: str) -> subprocess.Popen:
        values = {**self.variables, "DEPLOY_IMAGE": image, "SERVER_MODE": "asgi"}
        # A variable that deploy.yml has and this test does not know fails it.
        step = {name: values[name] for name in STEP["env"]}
        return subprocess.Popen(
            ["bash", "-e", "-c", STEP["run"]],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **step, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def deploy(self, image: str, **environment: str) -> subprocess.CompletedProcess:
        with self.begin(image, **environment) as job:
            stdout, stderr = job.communicate(timeout=300)
        return subprocess.CompletedProcess(job.args, job.returncode, stdout, stderr)

    def serves(self) -> str:
        return httpx.get(f"{self.url}/healthz/ready", timeout=10).json()["slot"]

    def state(self) -> tuple[str, str, str]:
        """What serves, and what the next command there goes by."""
        return self.serves(), (self.folder / "Makefile").read_text(), (self.folder / ".env").read_text()


@pytest.fixture(scope="module")
def host(registry, tmp_path_factory):
    folder = tmp_path_factory.mktemp("host")
    home = folder / "home"
    home.mkdir()
    host = Host(home)
    port = free_port()
    for name in ("host", "key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name))
    limits = " ".join(f"{name}=0" for name in ("LIMIT_PAGES", "LIMIT_SIGN_IN", "LIMIT_SIGN_UP"))
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/key.pub\n"
        "PidFile none\nStrictModes no\nUsePAM no\nAuthenticationMethods publickey\n"
        f"SetEnv HOME={home} COMPOSE_PROJECT_NAME={host.project} HTTP_PORT={host.port} {limits}\n"
    )
    host.variables = {
        "DEPLOY_TO": f"ssh://127.0.0.1:{port}",
        "DEPLOY_KEY": (folder / "key").read_text(),
        "DEPLOY_KNOWN_HOSTS": f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}",
        "SITE_URL": f"http://127.0.0.1:{host.port}",
        "REGISTRY_USER": "wisheasy",
        "REGISTRY_PASSWORD": PASSWORD,
    }
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    try:
        # By its whole path, as it wants it.
        sshd = shutil.which("sshd", path="/usr/sbin:/sbin")
        with running(sshd, "-D", "-e", "-f", str(folder / "sshd_config"), port=port, log=folder / "log"):
            yield host
    finally:
        if host.folder.exists():
            host.remove()


def said(result):
    return result.stdout + result.stderr


def assert_no_secret_is_said(host, result):
    secrets = [host.variables["DEPLOY_KEY"].splitlines()[1], host.variables["REGISTRY_PASSWORD"]]
    files = (path for path in (host.folder / "secrets").rglob("*") if path.is_file() and path.stat().st_size > 1)
    secrets += [path.read_text().strip() for path in files]
    assert not [secret for secret in secrets if secret in said(result)]


@pytest.fixture(scope="module")
def deployed(images, host):
    """The host after its first deploy."""
    host.first = host.deploy(images["first"])
    assert host.first.returncode == 0, said(host.first)
    return host


@pytest.fixture(scope="module")
def load(deployed):
    with Load(deployed.url, pages=40) as load:
        yield load


@pytest.fixture
def deploy(deployed, load, figures, request):
    """A deploy that no visitor notices."""

    def deploy(image, **environment):
        report = load.begin()
        begin = time.monotonic()
        result = deployed.deploy(image, **environment)
        figures.append(f"{request.node.name} in {time.monotonic() - begin:.1f} s: {report}")
        assert report.requests > 0
        assert report.failures == []
        load.wait_until_shown()
        assert_no_secret_is_said(deployed, result)
        return result

    return deploy


def test_the_first_deploy_needs_a_host_that_has_nothing_and_leaves_no_password_there(deployed):
    assert f"{deployed.project} is up in asgi mode: {deployed.variables['SITE_URL']}" in deployed.first.stdout
    assert_no_secret_is_said(deployed, deployed.first)
    assert sorted(path.name for path in deployed.folder.parent.iterdir()) == ["site"]


def test_a_deploy_brings_the_image_and_the_files_of_its_commit(deployed, images, deploy):
    before = deployed.serves()
    result = deploy(images["second"])
    assert result.returncode == 0, said(result)
    slot, makefile, env = deployed.state()
    assert slot != before
    assert makefile.endswith("# second\n")
    assert "IMAGE={}\nTAG={}\n".format(*images["second"].split("@")) in env
    assert "<!-- second -->" in httpx.get(f"{deployed.url}/probe/").text


def test_a_version_that_crashes_leaves_the_host_as_it_was(deployed, images, deploy):
    deployed.run("docker/configure", "READY_WITHIN=15")
    before = deployed.state()
    result = deploy(images["crashing"])
    assert result.returncode != 0
    assert "Not released: the step 'start' failed" in said(result)
    assert "drill" in said(result)
    assert deployed.state() == before
    deployed.run("docker/configure", "READY_WITHIN=90")


def test_what_nobody_sees_from_outside_is_taken_back(deployed, images, deploy):
    before = deployed.state()
    page = httpx.get(f"{deployed.url}/probe/").text
    # From where CI runs, no way leads to the site.
    result = deploy(images["first"], http_proxy="http://127.0.0.1:9", SMOKE_WITHIN="3")
    assert result.returncode != 0
    assert "could not be reached from here within 3 s" in result.stderr
    assert "Not deployed: the old version serves again." in result.stderr
    assert deployed.state() == before
    assert ("<!-- second -->" in page) == ("<!-- second -->" in httpx.get(f"{deployed.url}/probe/").text)


def test_a_job_that_is_killed_does_not_stop_the_release_that_it_has_begun(deployed, checkout, images, load):
    before = deployed.serves()
    report = load.begin()
    with deployed.begin(images["first"]) as job:
        while not (line := job.stdout.readline()).startswith("check "):
            assert line, job.stderr.read()
        os.killpg(job.pid, signal.SIGKILL)
    give_up = time.monotonic() + 120
    while "is up in asgi mode" not in (log := (deployed.folder / ".deploy/log").read_text()):
        assert time.monotonic() < give_up, log
        time.sleep(0.5)
    slot, makefile, _ = deployed.state()
    assert slot != before
    assert makefile == (checkout / "Makefile").read_text()
    assert report.failures == []
    load.wait_until_shown()


def test_a_host_that_is_another_one_gets_nothing(images, host):
    lines = host.variables["DEPLOY_KNOWN_HOSTS"].split()
    other = host.variables["DEPLOY_KEY"]
    public = run("ssh-keygen", "-y", "-f", "/dev/stdin", input=other).split()
    result = host.deploy(images["first"], DEPLOY_KNOWN_HOSTS=f"{lines[0]} {public[0]} {public[1]}")
    assert result.returncode != 0
    assert "Host key verification failed" in result.stderr
    assert "There is no connection to ssh://127.0.0.1" in result.stderr
