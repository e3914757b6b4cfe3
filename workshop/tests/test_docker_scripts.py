"""The scripts that start the stack, up to where Docker begins: a program of the test's own stands in for it."""

import os
import re
import shutil
import socket
import stat
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from workshop.tests.shells import SHELLS, tools

ROOT = Path(__file__).resolve().parent.parent.parent
# The secrets that come from elsewhere: there is nothing to make them of.
EMPTY = re.findall(r"^secret (\w+) ''$", (ROOT / "docker/configure").read_text(), re.MULTILINE)
DOCKER = shutil.which("docker") or "false"
HAS_COMPOSE = subprocess.run([DOCKER, "compose", "version"], capture_output=True, check=False).returncode == 0
pytestmark = needs_compose = pytest.mark.skipif(
    not HAS_COMPOSE, reason="Docker Compose, which reads .env, is not there"
)
# What reads .env (docker/read_env) needs no engine: it is Compose itself.
READS_ENV = f'case "$*" in "compose --file - config --images") exec {DOCKER} "$@" ;; esac'
GOOD_DOCKER = f"""
{READS_ENV}
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
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    for name in (".env.example", "docker-compose.yml", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
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
            "mkdir",
            "chmod",
            "make",
            "od",
            "tr",
            "cmp",
            "getconf",
            "env",
            "find",
            "head",
            "awk",
            "date",
            "paste",
            "ln",
            "mkfifo",
            "sort",
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


def secrets(project):
    files = (path for path in (project / "secrets").iterdir() if path.is_file())
    return {path.name: path.read_text().removesuffix("\n") for path in files}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_configure_makes_an_env_file_and_a_folder_of_secrets_that_only_the_owner_reads(run, project):
    result = run("docker/configure", "SERVER_MODE=asgi", "POSTGRES_DB=another")
    assert (result.returncode, result.stderr, len(result.stdout.splitlines())) == (0, "", 1)
    assert variables(project)["SERVER_MODE"] == "asgi"
    made = secrets(project)
    postgres, redis = made["postgres_password"], made["redis_password"]
    assert (len(made["secret_key"]), len(postgres), len(redis)) == (64, 48, 48)
    assert made["database_url"] == f"postgres://wisheasy:{postgres}@postgres:5432/another"
    assert made["redis_url"] == f"redis://app:{redis}@redis:6379/0"
    assert "backup_s3_secret" in EMPTY
    assert {made[name] for name in EMPTY} == {""}
    assert (mode(project / ".env"), mode(project / "secrets")) == (0o600, 0o700)
    # The users of the containers have to read them.
    assert {mode(path) for path in (project / "secrets").iterdir() if path.is_file()} == {0o644}
    assert mode(project / "secrets/app") == 0o755
    assert not [value for value in made.values() if value and value in (project / ".env").read_text()]


def test_configure_makes_other_secrets_each_time(run, project):
    run("docker/configure")
    first = secrets(project)
    shutil.rmtree(project / "secrets")
    run("docker/configure")
    assert {name for name, value in secrets(project).items() if value == first[name]} == set(EMPTY)


@pytest.mark.parametrize("names", [["redis_password", "postgres_password"], ["redis_url", "database_url"]], ids=str)
def test_configure_makes_a_secret_that_is_missing_fit_those_that_are_there(run, project, names):
    run("docker/configure")
    before = secrets(project)
    for name in names:
        (project / "secrets" / name).unlink()
    result = run("docker/configure")
    assert (result.returncode, result.stderr) == (0, "")
    assert set(result.stdout.removeprefix("Made ").removesuffix(".\n").split(", ")) == {f"secrets/{n}" for n in names}
    assert secrets(project) == before


def test_configure_changes_nothing_but_what_it_is_told_to(run, project):
    run("docker/configure")
    before = secrets(project)
    (project / ".env").write_text("# mine\nSERVER_MODE=wsgi\nMORE='a$b&c'\n")
    result = run("docker/configure", "SERVER_MODE=hybrid")
    assert (result.returncode, result.stdout) == (0, "")
    assert (project / ".env").read_text() == "# mine\nSERVER_MODE=hybrid\nMORE='a$b&c'\n"
    assert secrets(project) == before


def test_configure_adds_a_variable_where_an_env_file_has_none(run, project):
    (project / ".env").write_text("MORE=x\n")
    run("docker/configure", "SERVER_MODE=asgi")
    assert (project / ".env").read_text() == "MORE=x\nSERVER_MODE=asgi\n"


PRESETS = re.findall(
    r"^\| `([A-Z_]+)` \| (\w+) \| (\w+) \| (\w+) \|$", (ROOT / "docs/first-deploy.md").read_text(), re.M
)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("size", ["1g", "2g", "4g"])
def test_configure_writes_the_limits_that_the_table_of_the_first_deploy_has(run, project, size, shell):
    (project / ".env").write_text("# mine\nWEB_MEMORY=1g\n")
    assert len(PRESETS) > 8
    command = [f"{tools(shell)}/{shell}", "docker/configure", f"MEMORY={size}"]
    assert run(*command).returncode == 0
    assert PRESETS[0][0] == "WEB_MEMORY"
    wanted = {name: values[["1g", "2g", "4g"].index(size)] for name, *values in PRESETS}
    assert {name: value for name, value in variables(project).items() if not name.startswith("WORKER_")} == wanted


@pytest.mark.parametrize(("size", "total"), [("1g", 1_010_000_000), ("2g", 2_050_000_000), ("4g", 4_100_000_000)])
def test_the_first_env_file_has_limits_that_a_release_fits_in(run, project, size, total):
    run("docker/configure", docker=GOOD_DOCKER.replace("info*)", f"info*) echo {total};"))
    found = variables(project)
    assert found["WEB_MEMORY"] == dict(zip(["1g", "2g", "4g"], PRESETS[0][1:], strict=True))[size]
    in_mb = {name: int(value[:-1]) for name, value in found.items() if re.fullmatch(r"\w+_MEMORY", name)}
    # Off until it is turned on.
    del in_mb["OFFSITE_MEMORY"]
    workers = in_mb.pop("WORKER_MEMORY", 0) * int(found.get("WORKER_PROCESSES", 0))
    assert sum(in_mb.values()) + in_mb["WEB_MEMORY"] + 2 * workers <= total / 2**20 - 200


def test_a_start_is_refused_where_not_even_one_version_fits(run, project):
    (project / ".env").write_text("SERVER_MODE=wsgi\n")
    docker = GOOD_DOCKER.replace("info*)", "*MemTotal*) echo 1032847360; exit ;;\n    info*)")
    docker = docker.replace('case "$*" in\n', f'case "$*" in\n    "compose config") exec {DOCKER} "$@" ;;\n', 1)
    result = run("docker/preflight", "hybrid", docker=docker)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(
        "This machine has 985 MB of memory, and the containers may use 3072: docker/configure MEMORY=1g"
    )


@pytest.mark.parametrize("value", ["", "2", "2gb", "lots"])
def test_a_size_of_memory_that_has_no_preset_is_refused(run, project, value):
    result = run("docker/configure", f"MEMORY={value}")
    assert (result.returncode, result.stderr) == (
        1, f"MEMORY='{value}' is wrong: expected 1g, 2g or 4g, whichever this machine has at least.\n",
    )  # fmt: skip
    assert not (project / ".env").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_configure_writes_a_secret_into_its_file_alone(run, project, shell):
    configure = [f"{tools(shell)}/{shell}", "docker/configure"]
    result = run(*configure, "STRIPE_KEY=it's $1 \\n", "BACKUP_S3_SECRET=other", "SERVER_MODE=asgi")
    assert (result.returncode, result.stderr) == (0, "")
    assert (project / "secrets/app/stripe_key").read_text() == "it's $1 \\n\n"
    assert mode(project / "secrets/app/stripe_key") == 0o644
    assert secrets(project)["backup_s3_secret"] == "other"
    assert not {"STRIPE_KEY", "BACKUP_S3_SECRET"} & set(variables(project))
    assert not re.search("other|it's", result.stdout)
    run(*configure, "STRIPE_KEY=")
    assert not (project / "secrets/app/stripe_key").exists()


def test_configure_knows_each_secret_that_the_settings_read(run, project):
    read = re.findall(r"env\.read\([^)]*?\"([A-Z_]+)\"[^)]*secret=True\)", (ROOT / "kit/settings.py").read_text())
    names = set(read) - {"SECRET_KEY", "DATABASE_URL", "REDIS_URL"}
    assert names >= {"EMAIL_URL", "CACHE_URL", "MEDIA_STORE", "SENTRY_DSN"}
    assert run("docker/configure", *(f"{name}=of {name}" for name in names)).returncode == 0
    for name in names:
        assert (project / "secrets/app" / name.lower()).read_text() == f"of {name}\n"
    assert not names & set(variables(project))


@pytest.mark.parametrize("name", ["SECRET_KEY", "POSTGRES_PASSWORD", "DATABASE_URL", "REDIS_URL", "BACKUP_S3_SECRET"])
def test_configure_refuses_a_secret_in_an_env_file_where_it_would_have_no_effect(run, project, name):
    (project / ".env").write_text(f"{name}=x\n")
    result = run("docker/configure", "SERVER_MODE=asgi")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"{name} in .env has no effect: write its value into secrets/{name.lower()}, and remove the line.\n"
    )


def test_configure_lets_the_users_of_the_containers_read_the_secrets_of_the_project(run, project):
    (project / "secrets/app/more").mkdir(parents=True)
    for name in ("stripe_key", "more/another"):
        (project / "secrets/app" / name).write_text("x")
        (project / "secrets/app" / name).chmod(0o600)
    (project / "secrets/app/more").chmod(0o700)
    run("docker/configure")
    assert mode(project / "secrets") == 0o700
    assert mode(project / "secrets/app/more") == 0o755
    assert mode(project / "secrets/app/stripe_key") == mode(project / "secrets/app/more/another") == 0o644


def test_a_secret_that_the_containers_cannot_read_is_named_with_the_remedy(run, project):
    run("docker/configure")
    (project / "secrets/app/stripe_key").write_text("x")
    (project / "secrets/app/stripe_key").chmod(0o600)
    result = run("docker/preflight", "secrets")
    name = "secrets/app/stripe_key"
    sentence = f"{name} cannot be read by the users of the containers: chmod -R a+rX '{name}'\n"
    assert (result.returncode, result.stderr) == (1, sentence)


def test_the_variables_of_the_project_are_passed_on_and_those_of_the_template_are_not(run, project):
    template = re.findall(r"^(?:# )?([A-Z_]+)=", (project / ".env.example").read_text(), re.MULTILINE)
    (project / ".env.example").write_text(
        (project / ".env.example").read_text() + "\n# What customers see.\nSHOP_NAME=\n"
    )
    secret = {"SECRET_KEY", "DATABASE_URL", "REDIS_URL"}
    lines = [f"{name}=1" for name in template if name not in secret]
    own = ["SHOP_NAME='a b'", "export OTEL_SERVICE_NAME=x", "lower=1", "# COMMENTED=1", "COMPOSE_PARALLEL_LIMIT=1"]
    (project / ".env").write_text("\n".join([*lines, *own]) + "\n")
    result = run("docker/configure")
    assert (result.returncode, result.stderr) == (0, "")
    assert (project / ".env.names").read_text().split() == ["SHOP_NAME", "OTEL_SERVICE_NAME", "lower"]


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
    assert run("docker/read_env", "HTTP_PORT", **shell).stdout == expected + "\n"


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
    "volume-without-its-password": (
        READS_ENV + '\ncase "$*" in compose*) echo 5.0.0 ;; esac',
        "wisheasy_postgres holds a database whose password was in secrets/postgres_password",
    ),
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
    assert not (project / "secrets").exists()


@pytest.mark.parametrize(("engine", "sentence"), [
    ("swram", "ENGINE='swram' is wrong: expected compose, swarm or kubernetes, in .env."),
    ("swarm", "ENGINE=swarm: run it through make, or set ENGINE=compose in .env."),
])  # fmt: skip
def test_an_engine_other_than_compose_is_refused_by_what_is_for_this_machine(run, free_port, engine, sentence):
    result = run("docker/release", "asgi", HTTP_PORT=free_port, ENGINE=engine)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"{sentence}\n")


@pytest.mark.parametrize("target", ["up-hybrid", "release", "rollback", "ps", "manage", "restore"])
def test_another_engine_gets_the_same_commands(run, project, target):
    (project / "deploy/swarm").mkdir(parents=True)
    (project / "deploy/swarm/stack").write_text('#!/bin/sh\necho "$*, CMD=$CMD, TAG=$TAG"\n')
    (project / "deploy/swarm/stack").chmod(0o755)
    (project / ".env").write_text("ENGINE=swarm\n")
    result = run("make", "--silent", target, "CMD=check --deploy", "TAG=v2")
    assert (result.returncode, result.stdout) == (0, f"{target}, CMD=check --deploy, TAG=v2\n")


@pytest.mark.parametrize(
    "command",
    [["make", "--silent", "backup"], ["make", "--silent", "backups"], ["docker/restore", "x"], ["docker/rollback"]],
    ids=" ".join,
)
def test_what_starts_a_container_names_a_secret_that_is_missing(run, project, command):
    run("docker/configure")
    (project / "secrets/database_url").unlink()
    result = run(*command)
    assert result.returncode != 0
    said = [line for line in result.stderr.splitlines() if not line.startswith("make: ***")]
    assert said == [
        "secrets/database_url is missing: put it back, or run make up-wsgi, make up-asgi or make up-hybrid, which "
        "create missing files."
    ]


def test_a_step_of_the_project_that_fails_stops_a_release_before_anything_is_changed(run, project, free_port):
    hook = project / "docker/hooks/before_release"
    hook.write_text('#!/bin/sh\necho "to $SLOT from [$OLD_SLOT] in $SERVER_MODE with [$TAG]"\nexit 4\n')
    hook.chmod(0o755)
    result = run("docker/release", "asgi", HTTP_PORT=free_port)
    assert result.returncode == 1
    *asked, said, sentence = [line for line in result.stderr.splitlines() if line]
    assert said == "to blue from [] in asgi with []"
    assert sentence == "Not released: docker/hooks/before_release failed, and the reason is above. Nothing was changed."
    assert [line for line in asked if not re.match(r"docker (ps|image inspect|volume ls) ", line)] == []


def test_a_step_of_the_project_that_is_not_executable_is_left_out(run, project, free_port):
    hook = project / "docker/hooks/before_release"
    hook.write_text("#!/bin/sh\nexit 4\n")
    hook.chmod(0o644)
    assert "before_release" not in run("docker/release", "asgi", HTTP_PORT=free_port).stderr


def test_an_image_without_a_name_is_not_published(run):
    result = run("make", "publish")
    assert result.returncode != 0
    assert result.stderr.startswith("IMAGE is missing: set its name in a registry")


@pytest.mark.parametrize("mode", ["asgy", "../x"])
def test_an_unknown_mode_is_refused_with_the_known_ones(run, mode):
    result = run("docker/release", mode)
    assert result.returncode == 1
    assert "expected one of wsgi asgi hybrid" in result.stderr


@pytest.mark.parametrize("address", ["", "127.0.0.1:", "[::1]:"])
def test_a_port_that_is_taken_is_refused(run, address):
    family, host = (socket.AF_INET6, "::1") if "[" in address else (socket.AF_INET, "127.0.0.1")
    with socket.create_server((host, 0), family=family) as server:
        port = str(server.getsockname()[1])
        # This docker prints nothing for `docker ps`: the port is not published by the stack itself.
        result = run("docker/release", "wsgi", HTTP_PORT=f"{address}{port}")
    assert result.returncode == 1
    assert f"Port {port} is taken" in result.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:", "[::1]:", "0.0.0.0:"])
def test_a_port_of_one_address_is_no_reason_to_stop(run, free_port, address):
    assert run("docker/preflight", "asgi", HTTP_PORT=f"{address}{free_port}").returncode == 0


def test_a_port_that_the_stack_itself_has_is_not_in_the_way(run):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        docker = GOOD_DOCKER.replace("*) echo", "ps*publish*) echo 0123456789ab ;;\n    *) echo")
        assert run("docker/preflight", "wsgi", docker=docker, HTTP_PORT=port).returncode == 0


@pytest.mark.parametrize("port", ["http", "8080:8080", "127.0.0.1", "localhost:8080", "127.0.0.1:", "::1:8080"])
def test_a_port_that_is_no_number_is_refused(run, port):
    result = run("docker/release", "wsgi", HTTP_PORT=port)
    assert (result.returncode, result.stderr) == (
        1,
        f"HTTP_PORT={port!r} is wrong: expected a port such as 8080, or one for this machine only, such as "
        "127.0.0.1:8080.\n",
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(run, project, free_port):
    project.chmod(0o555)
    result = run("docker/release", "wsgi", HTTP_PORT=free_port)
    project.chmod(0o755)
    assert "cannot be written" in result.stderr


# --- The certificate's names ---


@pytest.mark.parametrize(
    ("site", "names"),
    [
        ("https://www.example.com,https://example.com:8443", ["www.example.com", "example.com"]),
        ("https://WWW.example.com,https://한국.test:444", ["www.example.com", "xn--3e0b707e.test"]),
        ("https://a.example,https://localhost,https://[2001:db8::1],https://192.0.2.1:8443", ["a.example"]),
    ],
)
def test_a_certificate_is_asked_for_every_name_as_authorities_know_it(tmp_path, site, names):
    (tmp_path / "certbot").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/asked\nexit 1\n')
    (tmp_path / "certbot").chmod(0o755)
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SITE_URL": site, "ACME_DIRECTORY": "https://ca.example"}
    subprocess.run([ROOT / "docker/certificates", "renew"], env=variables, capture_output=True, timeout=30, check=False)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [value for option, value in pairwise(asked) if option == "--domain"] == names
