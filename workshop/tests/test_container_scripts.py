"""docker/redis and docker/nginx_files, in each shell: programs of the test's own fail at each step. So do those of
docker/certificates and docker/serve_nginx (test_certificates.py), and of docker/offsite (test_offsite.py)."""

import shutil
import sys

import pytest

from workshop.tests.shells import ROOT, SHELLS, Container

# --- Redis ---


@pytest.fixture(params=SHELLS)
def redis(request, tmp_path):
    container = Container(tmp_path / "container", request.param, "redis")
    secret = container.folder / "redis_password"
    secret.write_text("s3cret\n")
    container.script.write_text(container.script.read_text().replace("/run/secrets/redis_password", str(secret)))
    container.program("redis-cli", 'cat >"$FOLDER/asked"; echo "$*" >"$FOLDER/called"; echo OK; echo PONG')
    container.program("redis-server", 'echo "$*"; cat')
    return container


def test_redis_gets_its_password_by_standard_input_alone(redis):
    result = redis.run("serve", "--maxmemory", "64mb")
    called, *configuration = result.stdout.splitlines()
    assert (result.returncode, called) == (0, "--maxmemory 64mb -")
    assert next(line for line in configuration if ">s3cret" in line).startswith("user app on ")


def test_a_redis_that_answers_the_user_is_healthy(redis):
    assert redis.run("health").returncode == 0
    assert (redis.folder / "asked").read_text() == "AUTH app s3cret\nPING\n"
    assert (redis.folder / "called").read_text() == "\n"


@pytest.mark.parametrize(
    "program",
    ["exit 1", "echo 'WRONGPASS'; echo 'NOAUTH'", "echo 'LOADING'", "kill -9 $$"],
    ids=["refused", "password", "loading", "killed"],
)
def test_a_redis_that_does_not_is_not(redis, program):
    redis.program("redis-cli", program)
    assert redis.run("health").returncode == 1


@pytest.mark.parametrize("verb", ["serve", "health", "cli"])
def test_without_the_password_nothing_is_tried(redis, verb):
    (redis.folder / "redis_password").unlink()
    result = redis.run(verb)
    assert result.returncode != 0
    assert "redis_password" in result.stderr
    assert not (redis.folder / "called").exists()


@pytest.mark.parametrize("verb", ["serve", "cli"])
def test_what_redis_ends_with_is_passed_on(redis, verb):
    for name in ("redis-server", "redis-cli"):
        redis.program(name, "exit 7")
    assert redis.run(verb).returncode == 7


# --- What Nginx reads ---


@pytest.fixture(params=SHELLS)
def files(request, tmp_path):
    container = Container(tmp_path / "container", request.param, "nginx_files")
    shutil.copytree(ROOT / "nginx", container.folder / "nginx")
    (container.folder / "var/static").mkdir(parents=True)
    container.program("python", f'case $1 in -c) exec {sys.executable} "$@" ;; *) mkdir "$3/rendered" ;; esac')
    container.environment |= {"SLOT": "blue", "SERVER_MODE": "asgi", "SITE_URL": "https://example.com"}
    return container


def test_the_first_start_publishes_and_switches(files):
    result = files.run("start")
    assert (result.returncode, result.stderr) == (0, "")
    current = files.folder / "srv/nginx/current"
    assert (current.readlink().name, (current / "mode").read_text()) == ("blue", "asgi\n")
    assert (current / "static").is_dir()
    assert (current / "rendered").is_dir()


@pytest.mark.parametrize("verb", ["start", "publish", "print"])
@pytest.mark.parametrize("step", ["cp", "find", "python"])
def test_what_could_not_be_rendered_is_neither_published_nor_switched_to(files, verb, step):
    files.program(step, f"echo '{step} failed' >&2; exit 3")
    result = files.run(verb)
    assert result.returncode != 0
    assert (result.stdout, result.stderr) == ("", f"{step} failed\n")
    assert [path.name for path in (files.folder / "srv/nginx").iterdir() if path.name in ("blue", "current")] == []


@pytest.mark.parametrize("step", ["ln", "python"])
def test_a_switch_that_fails_leaves_the_slot_that_serves(files, step):
    files.run("start")
    files.environment["SLOT"] = "green"
    files.run("publish")
    files.program(step, "exit 3")
    assert files.run("switch").returncode != 0
    assert (files.folder / "srv/nginx/current").readlink().name == "blue"


def test_a_node_of_several_publishes_each_version_once_and_says_when_it_is_done(files):
    files.program("sleep", "exit 1")
    # Of a Docker that gives each container another one.
    for image, host, slot in (("1", "a", "blue"), ("1", "b", "blue"), ("2", "c", "green"), ("1", "d", "blue")):
        mode = files.folder / "srv/nginx" / slot / "mode"
        before = mode.stat().st_mtime_ns if mode.exists() else None
        result = files.run("follow", RELEASE=image, HOSTNAME=host)
        assert result.returncode == 0, result.stderr
        assert (files.folder / "srv/nginx/current").readlink().name == slot
        assert (files.folder / "srv/nginx/followed").exists()
        assert before in (None, mode.stat().st_mtime_ns)
    files.program("cp", "exit 3")
    assert files.run("follow", RELEASE="3").returncode != 0
    assert not (files.folder / "srv/nginx/followed").exists()
