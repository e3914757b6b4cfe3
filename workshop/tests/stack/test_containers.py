"""What somebody gets who has broken into a container, or who can ask Docker about them: each thing is tried."""

import json
import re
from secrets import token_hex

import pytest

# It has every container that there is.
pytestmark = pytest.mark.modes("hybrid")


def containers(stack):
    """The running containers by their services."""
    listed = stack.compose("ps", "--format", "{{.Service}} {{.ID}}").stdout
    return dict(line.split() for line in listed.splitlines())


def inspected(stack, *names):
    return json.loads(stack.run("docker", "inspect", *names).stdout)


def python(stack, script, *arguments, check=True):
    """A script in a container of the project."""
    web = containers(stack)[f"web-{stack.slot()}"]
    return stack.run("docker", "exec", web, "python", "-c", script, *arguments, check=check)


# --- Rights ---


def test_no_process_has_the_rights_of_root_or_can_gain_any(stack):
    for service, container in containers(stack).items():
        text = stack.run("docker", "exec", container, "sh", "-c", "cat /proc/[0-9]*/status").stdout
        processes = [
            dict(re.findall(r"^(\w+):\s+(.*)$", status, re.MULTILINE)) for status in re.split(r"^(?=Name:)", text)[1:]
        ]
        assert processes, service
        for process in processes:
            said = f"{service}: {process['Name']}"
            assert "0" not in process["Uid"].split() + process["Gid"].split(), said
            assert {int(process[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}, said
            assert process["NoNewPrivs"] == "1", said


TRY_TO_WRITE = """
find / -xdev -type d -writable ! -exec mountpoint -q {} ';' -print 2>/dev/null
touch /written 2>/dev/null && echo touched
mount -o remount,rw / 2>/dev/null && echo remounted
true
"""


@pytest.mark.parametrize("options", [[], ["--user", "0:0"]], ids=["as-itself", "as-root"])
def test_the_root_file_system_cannot_be_written(stack, options):
    written = {
        service: stack.run("docker", "exec", *options, container, "sh", "-c", TRY_TO_WRITE).stdout
        for service, container in containers(stack).items()
    }
    assert [service for service, said in written.items() if said] == []


@pytest.fixture
def volume(stack):
    name = f"{stack.project}_try"
    yield name
    stack.run("docker", "volume", "rm", name)


@pytest.mark.parametrize("service", ["web", "nginx"])
def test_a_shell_that_would_make_root_of_whoever_starts_it_does_not(stack, volume, service):
    service = f"{service}-{stack.slot()}" if service == "web" else service
    image = inspected(stack, containers(stack)[service])[0]["Config"]["Image"]
    of_the_image = ["docker", "run", "--rm", "--volume", f"{volume}:/try", "--entrypoint"]
    make = "cp /bin/sh /try/sh && chmod 4755 /try/sh"
    stack.run(*of_the_image, "sh", "--user", "0:0", image, "-c", make)
    ask = ["-p", "-c", "id -u"]
    assert stack.run(*of_the_image, "/try/sh", "--user", "12345", image, *ask).stdout == "0\n"
    # As the service is started, but for the command.
    in_the_service = ["run", "--rm", "--no-deps", "-T", "--volume", f"{volume}:/try", "--entrypoint", "/try/sh"]
    assert stack.compose(*in_the_service, service, *ask).stdout != "0\n"


@pytest.fixture
def certificates(stack):
    """The container of the certificates, which is there with https alone."""
    stack.compose("up", "--no-start", "--no-deps", "certificates")
    yield stack.compose("--profile", "https", "ps", "--all", "--quiet", "certificates").stdout.strip()
    stack.compose("--profile", "https", "rm", "--force", "--volumes", "certificates")


def test_no_container_has_a_volume_without_a_name_or_swaps(stack, certificates):
    for container in inspected(stack, *containers(stack).values(), certificates):
        name, host = container["Name"], container["HostConfig"]
        volumes = [mount["Name"] for mount in container["Mounts"] if mount["Type"] == "volume"]
        assert [volume for volume in volumes if not volume.startswith(f"{stack.project}_")] == [], name
        assert host["MemorySwap"] == host["Memory"] > 0, name


# --- Networks ---

CONNECT = """
import socket, sys
for address in sys.argv[1:]:
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), 3)
"""


def test_nginx_reaches_the_servers_but_neither_the_database_nor_redis(stack):
    running = containers(stack)
    targets = []
    for service, port in (("postgres", 5432), ("redis", 6379)):
        [network] = inspected(stack, running[service])[0]["NetworkSettings"]["Networks"].values()
        targets += [f"{service}:{port}", f"{network['IPAddress']}:{port}"]
    python(stack, CONNECT, *targets)

    def answer(address):
        command = ["curl", "--silent", "--output", "/dev/null", "--max-time", "2", f"http://{address}/healthz/live"]
        return stack.run("docker", "exec", running["nginx"], *command, check=False).returncode

    assert answer(f"web-{stack.slot()}:8000") == 0
    # No such name; refused; no answer. A server that speaks something else than HTTP would be 52 or 56.
    assert {address: answer(address) for address in targets if answer(address) not in (6, 7, 28)} == {}


# --- Redis ---

ASK_REDIS = """
import json, sys, redis
url, commands = open("/run/secrets/redis_url").read().strip(), json.loads(sys.argv[1])
if sys.argv[2:]:
    url = "redis://" + sys.argv[2] + url.rpartition("@")[2]
answers = {}
for command in commands:
    with redis.Redis.from_url(url) as client:
        try:
            answers[command] = repr(client.execute_command(*command.split()))
        except redis.RedisError as error:
            answers[command] = type(error).__name__
print(json.dumps(answers))
"""
# Some of each kind: what destroys, what tells, what runs code, what keeps something.
REFUSED = [
    "FLUSHALL", "FLUSHDB", "SHUTDOWN NOSAVE", "CONFIG GET *", "CONFIG SET dir /tmp", "SAVE",
    "REPLICAOF 127.0.0.1 1", "MODULE LIST", "ACL LIST", "ACL SETUSER other on nopass +@all", "MONITOR", "INFO",
    "CLIENT LIST", "CLIENT KILL TYPE normal", "KEYS *", "SCAN 0", "EVAL return 0", "SCRIPT FLUSH", "FUNCTION LIST",
    "GET key", "SET key value", "LPUSH key value", "SELECT 1", "PUBLISH another-channel text",
]  # fmt: skip


def ask_redis(stack, commands, *who):
    return json.loads(python(stack, ASK_REDIS, json.dumps(commands), *who).stdout)


def test_redis_does_for_the_project_what_that_needs_and_nothing_else(stack):
    assert ask_redis(stack, ["PING", "PUBLISH asgi__group__nobody text"]) == {
        "PING": "True",
        "PUBLISH asgi__group__nobody text": "0",
    }
    assert ask_redis(stack, REFUSED) == dict.fromkeys(REFUSED, "NoPermissionError")
    # The user of the cache has its own keys, in a database of its own.
    cache = f"cache:{secrets(stack)['redis_password']}@"
    refused = [*(set(REFUSED) - {"SELECT 1", "SCAN 0"}), "SUBSCRIBE asgi__group__nobody", "DEL asgi:key"]
    assert ask_redis(stack, ["SET cache:stranger 1", "GET cache:stranger"], cache) == {
        "SET cache:stranger 1": "True",
        "GET cache:stranger": "b'1'",
    }
    assert ask_redis(stack, refused, cache) == dict.fromkeys(refused, "NoPermissionError")


@pytest.mark.parametrize("who", ["", "app:guessed@", "default:guessed@", "another:guessed@"])
def test_redis_does_nothing_without_its_password(stack, who):
    commands = ["PING", "FLUSHALL", "PUBLISH asgi__group__nobody text"]
    assert ask_redis(stack, commands, who) == dict.fromkeys(commands, "AuthenticationError")


def test_readiness_says_that_a_password_is_not_the_one_that_redis_has(stack):
    script = (
        "sed 's/@/x@/' /run/secrets/redis_url >/tmp/wrong && python manage.py shell --verbosity 0 --command "
        "'from kit.ops.health import ready; from django.test import RequestFactory;"
        'print(ready(RequestFactory().get("/")).content.decode())\''
    )
    result = stack.compose(
        "exec", "-T", "--env", "REDIS_URL_FILE=/tmp/wrong", f"web-{stack.slot()}", "sh", "-c", script
    )
    answer = json.loads(result.stdout)
    assert answer["status"] == "degraded"
    assert answer["dependencies"]["redis"] == (
        "unreachable (AuthenticationError): Redis does not know the user or the password in REDIS_URL"
    )
    assert secrets(stack)["redis_password"] not in result.stdout + result.stderr


# --- Secrets ---


def secrets(stack):
    files = (path for path in (stack.folder / "secrets").rglob("*") if path.is_file())
    return {path.name: path.read_text().strip() for path in files}


@pytest.fixture
def own_secret(stack):
    """A secret of the owner's, put there while the stack runs."""
    file = stack.folder / "secrets/app/stripe_key"
    file.write_text(token_hex(16))
    file.chmod(0o644)
    yield file.read_text()
    file.unlink()


def test_a_secret_of_the_owner_is_in_every_server_and_nowhere_else(stack, own_secret):
    script = "cat /run/secrets/app/stripe_key || true"
    found = {
        service: stack.run("docker", "exec", container, "sh", "-c", script).stdout
        for service, container in containers(stack).items()
    }
    servers = {*stack.serving(), f"worker-{stack.slot()}"}
    assert {service for service, said in found.items() if said == own_secret} == servers


def test_docker_tells_no_secret(stack, own_secret):
    of_the_stack = ["--filter", f"label=com.docker.compose.project={stack.project}"]
    # Those that have ended as well.
    every = stack.run("docker", "ps", "--all", "--quiet", *of_the_stack).stdout.split()
    images = sorted({container["Image"] for container in inspected(stack, *every)})
    told = {
        "containers": json.dumps(inspected(stack, *every)),
        "images": json.dumps(inspected(stack, *images)),
        "histories": "".join(
            stack.run("docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout for image in images
        ),
        "processes": "".join(stack.run("docker", "top", each).stdout for each in containers(stack).values()),
        "configuration": stack.compose("--profile", "*", "config").stdout,
        "env file": (stack.folder / ".env").read_text(),
        "logs": stack.compose("logs").stdout,
    }
    assert "/run/secrets/secret_key" in told["containers"]
    assert "redis-server" in told["processes"]
    values = {name: value for name, value in secrets(stack).items() if value}
    assert len(values) == 6
    assert [(name, where) for name, value in values.items() for where, text in told.items() if value in text] == []


# --- Prompts ---


def test_psql_opens_in_the_database_of_the_servers(stack):
    said = stack.run("make", "psql", stdin="SELECT count(*) > 0 FROM django_migrations;\n").stdout
    assert re.search(r"^ t$", said, re.MULTILINE)


def test_redis_cli_opens_as_the_user_of_the_servers(stack):
    said = stack.run("make", "redis-cli", stdin="PING\nINFO\n").stdout
    assert said.splitlines()[0] == "PONG"
    assert "NOPERM" in said


# --- Starts ---

STRIPPED = """FROM python:3.13-slim
RUN find "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \\
    -name __pycache__ -prune -exec rm -r {} +
"""
WITHOUT_BYTE_CODE = """
import importlib.util, pathlib, sysconfig
for folder in (sysconfig.get_path("stdlib"), "/opt/venv", "/app"):
    for path in pathlib.Path(folder).rglob("*.py"):
        if not pathlib.Path(importlib.util.cache_from_source(path)).exists():
            print(path)
"""


def test_a_start_compiles_nothing_on_a_base_image_without_byte_code(stack, tmp_path):
    (tmp_path / "Dockerfile").write_text(STRIPPED)
    base, image = f"{stack.project}-stripped", f"{stack.project}-compiled"
    try:
        stack.run("docker", "build", "--quiet", "--tag", base, str(tmp_path))
        given = f"python:3.13-slim=docker-image://{base}"
        stack.run("docker", "build", "--quiet", "--build-context", given, "--tag", image, ".")
        assert stack.run("docker", "run", "--rm", image, "python", "-c", WITHOUT_BYTE_CODE).stdout == ""
    finally:
        stack.run("docker", "image", "rm", "--force", base, image)
