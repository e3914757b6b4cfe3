"""docker/doctor, as far as it comes before there is a stack: a docker of the test's own stands in for the engine."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from .test_docker_scripts import DOCKER, EMPTY, READS_ENV, needs_compose

pytestmark = needs_compose
ROOT = Path(__file__).resolve().parent.parent.parent
GOOD_KEY, GOOD_PASSWORD = "k3y-of-the-test." * 4, "passw0rd-of-the-test"
# What a good engine answers; a test sets in front of it what its own answers otherwise.
GOOD_DOCKER = f"""
{READS_ENV}
case "$*" in
    *ServerVersion*) echo 28.5.2 ;;
    *NCPU*) echo 4 ;;
    *MemTotal*) echo 8589934592 ;;
    *DockerRootDir*) echo /nowhere ;;
    *SystemTime*) date -u +%Y-%m-%dT%H:%M:%S.123456789Z ;;
    "compose config") exec {DOCKER} "$@" ;;
    "compose version --short") echo 2.40.3 ;;
    "volume inspect"* | "image inspect"* | "compose exec"*) exit 1 ;;
esac
"""
WARNING_OF_COMPOSE = r'level=warning msg="The \"b\" variable is not set. Defaulting to a blank string."'
DF = "#!/bin/sh\necho 'Filesystem 1024-blocks Used Available Capacity Mounted on'\necho '/dev/sda 9 9 {} 99% /'\n"


@pytest.fixture
def project(tmp_path):
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    for path in (".env.example", "docker-compose.yml"):
        shutil.copy(ROOT / path, tmp_path)
    (tmp_path / "wisheasy").mkdir()
    shutil.copy(ROOT / "wisheasy/settings.py", tmp_path / "wisheasy")
    (tmp_path / "bin").mkdir()
    return tmp_path


class Doctor:
    mode_of_secrets = 0o700

    def __init__(self, folder, port):
        self.folder = folder
        self.env_file = {"SERVER_MODE": "asgi", "HTTP_PORT": str(port)}
        self.secrets = {
            "secret_key": GOOD_KEY,
            "postgres_password": GOOD_PASSWORD,
            "database_url": f"postgres://wisheasy:{GOOD_PASSWORD}@postgres:5432/wisheasy",
            "redis_password": GOOD_PASSWORD,
            "redis_url": f"redis://app:{GOOD_PASSWORD}@redis:6379/0",
            **dict.fromkeys(EMPTY, ""),
        }
        self.program("docker", GOOD_DOCKER)
        self.program("timedatectl", "echo yes")
        self.program("df", DF.format(9_000_000))
        self.program("getent", "echo 192.0.2.1 STREAM $2")

    def program(self, name, text):
        (self.folder / "bin" / name).write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        (self.folder / "bin" / name).chmod(0o755)

    def docker(self, answers):
        self.program("docker", f'case "$*" in\n    {answers}\nesac\n{GOOD_DOCKER}')

    def run(self, *options):
        if self.env_file is not None:
            lines = "".join(f"{name}={value}\n" for name, value in self.env_file.items())
            (self.folder / ".env").write_text(lines)
            (self.folder / "secrets").mkdir(exist_ok=True)
            (self.folder / "secrets").chmod(self.mode_of_secrets)
            for name, value in self.secrets.items():
                (self.folder / "secrets" / name).write_text(f"{value}\n")
                (self.folder / "secrets" / name).chmod(0o644)
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            ["docker/doctor", *options], cwd=self.folder, env={"PATH": path, "HOME": str(self.folder)},
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    def findings(self):
        """Its exit status, and all that is not ok."""
        result = self.run("--json")
        assert result.stderr == ""
        return result.returncode, [each for each in json.loads(result.stdout) if each["status"] != "ok"]


@pytest.fixture
def doctor(project):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return Doctor(project, port)


def test_where_nothing_is_wrong_it_says_so(doctor):
    result = doctor.run()
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("\nNothing is wrong.\n")
    assert doctor.findings() == (0, [])


def test_before_there_is_an_env_file_nothing_is_wrong_either(doctor):
    doctor.env_file = None
    assert doctor.findings() == (0, [])
    assert not (doctor.folder / ".env").exists()


def git(doctor, *arguments, **variables):
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(doctor.folder), **variables}
    subprocess.run(["git", *who, *arguments], cwd=doctor.folder, env=environment, check=True, capture_output=True)


def commit_in_the_future(doctor):
    git(doctor, "init", "--quiet")
    date = "2099-01-01T00:00:00Z"
    git(doctor, "commit", "--allow-empty", "--message", "x", GIT_COMMITTER_DATE=date, GIT_AUTHOR_DATE=date)


def secrets_in_git(doctor):
    git(doctor, "init", "--quiet")
    doctor.run()
    git(doctor, "add", "--force", "secrets")


def set_up(**variables):
    return lambda doctor: doctor.env_file.update(variables)


def keep(**secrets):
    return lambda doctor: doctor.secrets.update(secrets)


def closed_secret(doctor):
    doctor.run()
    doctor.env_file = None
    (doctor.folder / "secrets/secret_key").chmod(0o600)


def hook_of_an_editor(doctor):
    (doctor.folder / "docker/hooks/before_release").write_bytes(b"#!/bin/sh\r\n")


BROKEN = {
    "hook-of-windows": (hook_of_an_editor, "checkout", "docker/hooks/before_release has the line ends of Windows"),
    "secret-of-windows": (
        keep(database_url=f"postgres://wisheasy:{GOOD_PASSWORD}@postgres:5432/wisheasy\r"),
        "checkout",
        "secrets/database_url has the line ends of Windows",
    ),
    "engine-stopped": (lambda doctor: doctor.docker("info*) exit 1 ;;"), "docker", "The Docker Engine does not answer"),
    "compose-too-old": (
        lambda doctor: doctor.docker('"compose version"*) echo 2.23.0; exit ;;'),
        "compose",
        "Docker Compose 2.23.0 is too old",
    ),
    "secret-missing": (lambda doctor: doctor.secrets.pop("redis_url"), "secrets", "secrets/redis_url is missing"),
    "dollar": (
        lambda doctor: doctor.docker(f'"compose config"*) echo \'{WARNING_OF_COMPOSE}\' >&2; exit ;;'),
        "env",
        "Compose reads $b in .env as a variable",
    ),
    "env-file-that-compose-refuses": (
        lambda doctor: (
            doctor.docker(f'"compose config --quiet") exec {DOCKER} "$@" ;;'), doctor.env_file.update({'A"B': "1"}),
        ),
        "env",
        "Compose does not understand the files: failed to read",
    ),
    "secret-closed": (closed_secret, "permissions", "secrets/secret_key cannot be read by the users of the containers"),
    "secrets-in-git": (secrets_in_git, "permissions", "secrets/ is in Git"),
    "secret-short": (keep(secret_key="short"), "secrets", "secrets/secret_key has 5 characters, and needs 50"),
    "secret-repeats": (keep(secret_key="ab" * 30), "secrets", "secrets/secret_key repeats a few characters"),
    "secret-of-an-example": (keep(secret_key=f"django-insecure-{GOOD_KEY}"), "secrets", "looks like an example"),
    "password-of-redis": (
        keep(redis_password="another"), "secrets", "secrets/redis_url differs from secrets/redis_password",
    ),
    "password-of-postgresql": (
        keep(postgres_password="another"), "secrets", "secrets/database_url differs from secrets/postgres_password",
    ),
    "mode": (set_up(SERVER_MODE="asgy"), "mode", "SERVER_MODE='asgy' is wrong"),
    "clock-before-the-last-commit": (commit_in_the_future, "clock", "which is before the last commit"),
    "clock-of-docker": (
        lambda doctor: doctor.docker("*SystemTime*) echo 2026-01-01T00:00:00.5Z; exit ;;"), "clock", "s apart",
    ),
    "disk": (lambda doctor: doctor.program("df", DF.format(100_000)), "disk", "97 MB are free on the disk"),
    "cpus": (set_up(WEB_CPUS="8"), "cpus", "WEB_CPUS=8 is more than the 4 of this machine"),
    "site-without-scheme": (set_up(SITE_URL="www.example.com"), "address", "SITE_URL='www.example.com' is wrong"),
    "site-with-path": (set_up(SITE_URL="https://a.example/shop"), "address", "SITE_URL='https://a.example/shop' is"),
    "second-site": (set_up(SITE_URL="https://a.example,b.example"), "address", "SITE_URL='b.example' is wrong"),
    **{
        f"second-site-{name}": (
            set_up(SITE_URL=f"https://a.example,https://{name}"), "address", f"SITE_URL='https://{name}' is wrong",
        )
        for name in ("*.example.com", "a_b.example.com", "example.com.", ".example.com", "a..example.com", "-a.example")
    },
    "site-with-another-port": (set_up(SITE_URL="http://localhost:1"), "address", "but Nginx is published on port"),
    "port-no-number": (set_up(HTTP_PORT="http"), "port", "HTTP_PORT='http' is wrong"),
    "dns": (
        lambda doctor: (doctor.program("getent", "exit 2"), doctor.env_file.update(SITE_URL="https://www.example.com")),
        "dns",
        "www.example.com in SITE_URL has no address",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("breakage", "check", "what"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_the_first_finding(doctor, breakage, check, what):
    breakage(doctor)
    status, (first, *_) = doctor.findings()
    assert (status, first["status"], first["check"]) == (1, "broken", check)
    assert what in first["what"]
    assert first["why"]
    assert first["fix"]


@pytest.mark.parametrize("address", ["", "127.0.0.1:", "0.0.0.0:"])
def test_a_port_that_is_taken_is_the_first_finding(doctor, address):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        doctor.env_file["HTTP_PORT"] = f"{address}{port}"
        status, (first, *_) = doctor.findings()
    assert (status, first["what"]) == (1, f"Port {port} is taken by another program")


def finding(doctor, check):
    return next(each for each in json.loads(doctor.run("--json").stdout) if each["check"] == check)


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_a_port_of_one_address_is_a_port(doctor, address):
    port = doctor.env_file["HTTP_PORT"]
    doctor.env_file["HTTP_PORT"] = f"{address}:{port}"
    assert doctor.findings() == (0, [])
    assert finding(doctor, "address")["what"] == f"SITE_URL follows HTTP_PORT: http://{address}:{port}"
    assert finding(doctor, "port")["what"] == f"{port} is free"
    doctor.env_file["SITE_URL"] = f"http://localhost:{port}"
    assert doctor.findings() == (0, [])


def test_names_of_other_scripts_are_addresses(doctor):
    doctor.env_file["SITE_URL"] = "https://www.example.com,https://한국.test,https://[2001:db8::1]"
    assert doctor.findings() == (0, [])


def hook(name):
    def add(doctor):
        (doctor.folder / "docker/hooks" / name).write_text("#!/bin/sh\n")
        (doctor.folder / "docker/hooks" / name).chmod(0o644)

    return add


def disk_of_windows(doctor):
    """In WSL."""
    doctor.program("uname", "echo 6.6.87.2-microsoft-standard-WSL2")
    doctor.program("findmnt", "echo v9fs")


WARNINGS = {
    "disk-of-windows": (disk_of_windows, "checkout", "This clone is on a Windows disk, in /"),
    "hook-that-is-left-out": (hook("before_release"), "own", "docker/hooks/before_release is not executable"),
    "hook-that-never-runs": (hook("before_relase"), "own", "docker/hooks/before_relase is not a release hook"),
    "short-password": (
        keep(redis_password="abcdefgh", redis_url="redis://app:abcdefgh@redis:6379/0"),
        "secrets",
        "has fewer than 16 characters",
    ),
    "open-folder": (
        lambda doctor: setattr(doctor, "mode_of_secrets", 0o755), "permissions", "can enter secrets/",
    ),
    "unread-variable": (set_up(SITE_ULR="https://www.example.com"), "env", "No settings read SITE_ULR"),
    "clock-that-drifts": (
        lambda doctor: doctor.program("timedatectl", "echo no"), "clock", "The clock is not synchronized",
    ),
    "little-room": (lambda doctor: doctor.program("df", DF.format(2_000_000)), "disk", "1953 MB are free"),
    "little-memory": (
        lambda doctor: doctor.docker("*MemTotal*) echo 2684354560; exit ;;"),
        "memory",
        "has 2560 MB of memory, and during a release the containers may use 3456",
    ),
    "redirect-for-ever": (
        set_up(SITE_URL="https://a.example", ACME_DIRECTORY="off"), "address", "TRUSTED_PROXIES is empty",
    ),
}  # fmt: skip


def test_a_certificate_of_ones_own_needs_no_proxy(doctor):
    doctor.docker('"compose exec -T certificates test -e /certificates/site") exit 0 ;;')
    doctor.env_file |= {"SITE_URL": "https://a.example", "ACME_DIRECTORY": "off"}
    assert doctor.findings() == (0, [])


@pytest.mark.parametrize(("breakage", "check", "what"), WARNINGS.values(), ids=WARNINGS)
def test_a_warning_alone_is_no_failure(doctor, breakage, check, what):
    breakage(doctor)
    status, (first, *_) = doctor.findings()
    assert (status, first["status"], first["check"]) == (0, "warning", check)
    assert what in first["what"]


def test_a_variable_that_another_one_is_made_of_is_read(doctor):
    doctor.env_file |= {"DOMAIN": "example.com", "SITE_URL": "https://www.${DOMAIN},https://$DOMAIN"}
    assert doctor.findings() == (0, [])


def test_a_database_and_a_redis_elsewhere_have_passwords_of_their_own(doctor):
    doctor.secrets["database_url"] = "postgres://somebody:theirs@db.example:5432/name"
    doctor.secrets["redis_url"] = "rediss://redis.example:6379/0"
    assert doctor.findings() == (0, [])


def test_broken_things_come_before_warnings_and_each_with_what_mends_it(doctor):
    doctor.program("timedatectl", "echo no")
    doctor.env_file["SITE_URL"] = "www.example.com"
    result = doctor.run()
    assert result.returncode == 1
    findings = result.stdout.split("\n\n")[1:]
    assert findings[0].startswith("1. broken, address: SITE_URL='www.example.com' is wrong\n   why   ")
    assert "\n   fix   expected an address" in findings[0]
    assert findings[1].startswith("2. warning, clock: ")


def test_an_option_that_it_does_not_have_is_refused(doctor):
    result = doctor.run("--jsno")
    assert (result.returncode, result.stdout) == (1, "")
    assert "'--jsno' is no option" in result.stderr
