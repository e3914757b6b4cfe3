"""The scripts that start the stack, up to where Docker begins: a program of the test's own stands in for it."""

import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GOOD_DOCKER = """
case "$*" in
    info*) exit 0 ;;
    "compose version --short") echo 2.40.3 ;;
    "volume inspect"*) exit 1 ;;
    *) echo "docker $*" >&2 ;;
esac
"""


@pytest.fixture
def project(tmp_path):
    """A copy of what the scripts need, in a folder of its own."""
    for path in ("docker", "nginx/upstreams"):
        shutil.copytree(ROOT / path, tmp_path / path)
    shutil.copy(ROOT / ".env.example", tmp_path)
    return tmp_path


@pytest.fixture
def run(project, tmp_path_factory):
    programs = tmp_path_factory.mktemp("bin")

    def run(*command, docker=GOOD_DOCKER, **variables):
        if docker is not None:
            (programs / "docker").write_text("#!/bin/sh\n" + docker)
            (programs / "docker").chmod(0o755)
        # Without the machine's own docker, wherever it is.
        for name in (
            "sh",
            "bash",
            "sed",
            "grep",
            "id",
            "basename",
            "dirname",
            "printenv",
            "tail",
            "cat",
            "mv",
            "rm",
            "od",
            "tr",
            "cmp",
            "getconf",
            "env",
        ):
            (programs / name).unlink(missing_ok=True)
            (programs / name).symlink_to(shutil.which(name))
        return subprocess.run(
            command,
            cwd=project,
            env={"PATH": str(programs), **variables},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


def variables(project):
    lines = (project / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_configure_makes_an_env_file_with_secrets_that_only_the_owner_reads(run, project):
    assert run("docker/configure", "SERVER_MODE=asgi").returncode == 0
    made = variables(project)
    assert made["SERVER_MODE"] == "asgi"
    assert len(made["SECRET_KEY"]) == 64
    assert len(made["POSTGRES_PASSWORD"]) == 48
    assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600


def test_configure_makes_other_secrets_each_time(run, project):
    run("docker/configure")
    first = variables(project)
    (project / ".env").unlink()
    run("docker/configure")
    assert variables(project)["SECRET_KEY"] != first["SECRET_KEY"]
    assert variables(project)["POSTGRES_PASSWORD"] != first["POSTGRES_PASSWORD"]


def test_configure_changes_nothing_but_what_it_is_told_to(run, project):
    (project / ".env").write_text("# mine\nSERVER_MODE=wsgi\nSECRET_KEY='a$b&c'\nMORE=1\n")
    assert run("docker/configure", "SERVER_MODE=hybrid").returncode == 0
    assert (project / ".env").read_text() == "# mine\nSERVER_MODE=hybrid\nSECRET_KEY='a$b&c'\nMORE=1\n"


def test_configure_adds_a_variable_where_an_env_file_has_none(run, project):
    (project / ".env").write_text("SECRET_KEY=x\n")
    run("docker/configure", "SERVER_MODE=asgi")
    assert (project / ".env").read_text() == "SECRET_KEY=x\nSERVER_MODE=asgi\n"


@pytest.mark.parametrize(
    ("shell", "env_file", "expected"),
    [
        pytest.param({}, None, "8080", id="manual"),
        pytest.param({}, "HTTP_PORT='9000'\n", "9000", id="env-file"),
        pytest.param({"HTTP_PORT": "9001"}, "HTTP_PORT=9000\n", "9001", id="shell"),
    ],
)
def test_a_setting_comes_from_the_shell_then_the_env_file_then_the_manual(run, project, shell, env_file, expected):
    if env_file:
        (project / ".env").write_text(env_file)
    assert run("docker/setting", "HTTP_PORT", **shell).stdout == expected + "\n"


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def test_preflight_passes_where_everything_is_there(run, free_port):
    result = run("docker/preflight", "asgi", HTTP_PORT=free_port)
    assert (result.returncode, result.stdout) == (0, "")


BAD = {
    "docker-absent": (None, "Docker is not installed"),
    "engine-stopped": ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "does not answer: start it"),
    "no-permission": ("echo 'permission denied while trying to connect' >&2; exit 1", "may not use Docker"),
    "compose-absent": ('case "$*" in compose*) exit 1 ;; esac', "Docker Compose is not installed"),
    "compose-1": ('case "$*" in compose*) echo 1.29.2 ;; esac', "Docker Compose 1.29.2 is too old"),
    "compose-2.23": (
        'case "$*" in compose*) echo v2.23.3-desktop.2 ;; esac',
        "Docker Compose v2.23.3-desktop.2 is too old",
    ),
    "volume-without-env": ('case "$*" in compose*) echo 5.0.0 ;; esac', "wisheasy_postgres holds a database"),
}


@pytest.mark.parametrize(("docker", "sentence"), BAD.values(), ids=BAD)
def test_preflight_says_what_is_missing_in_one_sentence_and_leaves_nothing_behind(
    run, project, free_port, docker, sentence
):
    result = run("docker/release", "asgi", docker=docker, HTTP_PORT=free_port)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert len((result.stdout + result.stderr).splitlines()) == 1
    assert not (project / ".env").exists()


@pytest.mark.parametrize("mode", ["asgy", "../x"])
def test_an_unknown_mode_is_refused_with_the_known_ones(run, mode):
    result = run("docker/release", mode)
    assert result.returncode == 1
    assert "say one of asgi hybrid wsgi" in result.stderr


def test_a_port_that_is_taken_is_refused(run):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        # This docker prints nothing for `docker ps`: the port is not published by the stack itself.
        result = run("docker/release", "wsgi", HTTP_PORT=port)
    assert result.returncode == 1
    assert f"Port {port} is taken" in result.stderr


def test_a_port_that_the_stack_itself_has_is_not_in_the_way(run):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        docker = GOOD_DOCKER.replace("*) echo", "ps*) echo 0123456789ab ;;\n    *) echo")
        assert run("docker/preflight", "wsgi", docker=docker, HTTP_PORT=port).returncode == 0


def test_a_port_that_is_no_number_is_refused(run):
    result = run("docker/release", "wsgi", HTTP_PORT="http")
    assert (result.returncode, result.stderr) == (
        1,
        "HTTP_PORT='http' is wrong: expected a port number such as 8080.\n",
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(run, project, free_port):
    project.chmod(0o555)
    result = run("docker/release", "wsgi", HTTP_PORT=free_port)
    project.chmod(0o755)
    assert "cannot be written" in result.stderr
