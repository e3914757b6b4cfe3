"""deploy/port-only.md and deploy/managed-postgresql.md on a real engine, with a PostgreSQL outside of the
stack that speaks TLS and whose role is no superuser. Their files and commands are those of the pages."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from workshop.tests.certificates import issue
from workshop.tests.recipes import blocks, text
from workshop.tests.servers import free_port

from .conftest import BASE, Machine

# As a provider sets it up: PostgreSQL wants its key for itself.
START = """
install -d -o postgres -m 700 /tls && install -o postgres -m 600 /given/cert.pem /given/key.pem /tls
exec docker-entrypoint.sh postgres -c ssl=on -c ssl_cert_file=/tls/cert.pem -c ssl_key_file=/tls/key.pem \
    -c max_connections=70
"""


def run(*command: str, check: bool = True, text: str | None = None, cwd: Path | None = None) -> str:
    result = subprocess.run(command, input=text, cwd=cwd, env=BASE, capture_output=True, text=True, check=False)
    assert not check or result.returncode == 0, f"{' '.join(command)}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout


@dataclass
class Elsewhere:
    """A machine with a PostgreSQL, as containers see it: on another address of this one."""

    container: str
    host: str
    port: int
    authority: Path
    password: str

    def sql(self, *statements: str, database: str = "postgres") -> str:
        options = ["--no-align", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1", "--username", "postgres"]
        return run(
            "docker", "exec", "--interactive", self.container, "psql", *options, "--dbname", database,
            text=";".join(statements),
        ).strip()  # fmt: skip

    def address(self, options: str = "") -> str:
        return f"postgres://wisheasy:{self.password}@{self.host}:{self.port}/wisheasy{options}"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, gateway):
    given = issue(tmp_path_factory.mktemp("elsewhere") / "given", gateway)
    machine = Elsewhere(
        f"wisheasy-e2e-elsewhere-{secrets.token_hex(4)}", gateway, free_port(), given / "ca.pem", secrets.token_hex(16)
    )
    run(
        "docker", "create", "--name", machine.container, "--env", f"POSTGRES_PASSWORD={secrets.token_hex(16)}",
        "--publish", f"{gateway}:{machine.port}:5432", "--entrypoint", "sh", "postgres:18", "-c", START,
    )  # fmt: skip
    try:
        run("docker", "cp", f"{given}/.", f"{machine.container}:/given")
        run("docker", "start", machine.container)
        ready = ["docker", "exec", machine.container, "pg_isready", "--host", "127.0.0.1"]
        for _ in range(120):
            if subprocess.run(ready, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.25)
        yield machine
    finally:
        run("docker", "rm", "--force", "--volumes", machine.container)


@pytest.fixture
def database(elsewhere):
    """A role and a database of its own, new for each test."""
    elsewhere.sql(blocks("managed-postgresql.md", "sql")[0].replace("from your password manager", elsewhere.password))
    yield elsewhere
    for name in elsewhere.sql("SELECT datname FROM pg_database WHERE datname LIKE 'wisheasy%'").split():
        elsewhere.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    elsewhere.sql("DROP ROLE wisheasy")


# --- port-only.md ---


def test_the_image_alone_serves_on_its_port_and_stops_by_itself(checkout, database):
    port = str(free_port())
    filled = blocks("port-only.md", "ini")[0].replace("SECRET_KEY=\n", f"SECRET_KEY={secrets.token_hex(32)}\n")
    filled = filled.replace("DATABASE_URL=\n", f"DATABASE_URL={database.address('?sslmode=require')}\n")
    (checkout / "platform.env").write_text(filled)
    script = blocks("port-only.md", "sh")[0].replace("9000", port)
    script = script.replace("wisheasy:alone", "wisheasy-recipes:alone").replace("wisheasy-alone", "wisheasy-recipes")
    try:
        said = run("sh", "-eu", "-c", script, cwd=checkout)
    finally:
        (checkout / "platform.env").unlink()
        run("docker", "rm", "--force", "wisheasy-recipes", check=False)
        run("docker", "rmi", "wisheasy-recipes:alone", check=False)
    assert '{"status": "ready", "mode": "asgi"' in said
    assert "<title>" in said
    assert said.splitlines()[-2:] == ["0", "wisheasy-recipes"]


# --- managed-postgresql.md ---


class Managed(Machine):
    def migrate(self, *command, **options):
        """In the container that migrates."""
        return self.compose("--progress", "quiet", "run", "--rm", "--no-deps", "-T", "migrate", *command, **options)


@pytest.fixture
def managed(checkout, database, tmp_path):
    """A clone with the page's files in it. Nothing is started."""
    clone = Managed(checkout, tmp_path / "managed", "wisheasy-e2e-managed")
    clone.run("docker/configure", "SERVER_MODE=asgi", "WEB_CONCURRENCY=2", "DATABASE_MAX_CONNECTIONS=65")
    clone.write("docker-compose.override.yml", blocks("managed-postgresql.md", "yaml")[0])
    clone.write("database-ca.pem", database.authority.read_text())
    options = re.search(r"^postgres://.*(\?sslmode=.*)$", text("managed-postgresql.md"), re.MULTILINE)
    clone.write("secrets/database_url", database.address(options[1]))
    try:
        clone.compose("build", "migrate")
        yield clone
    finally:
        clone.remove()


def test_a_managed_database_is_migrated_backed_up_and_restored_by_a_plain_role(managed, database):
    assert "postgres" not in managed.compose("config", "--services").stdout.split()
    managed.migrate()
    database.sql("SET ROLE wisheasy", "CREATE TABLE mark AS SELECT 'before' AS text", database="wisheasy")
    database.sql("INSERT INTO django_session VALUES ('ended', '', now() - interval '1 s')", database="wisheasy")
    removed = managed.compose("--progress", "quiet", "run", "--rm", "--no-deps", "-T", "backup", "sessions").stdout
    assert removed == "Expired sessions removed: 1.\n"
    backup = managed.run("make", "backup").stdout.split()[0]
    database.sql("UPDATE mark SET text = 'after'", database="wisheasy")
    assert "DROP DATABASE" in managed.run("make", "restore", f"FILE={backup}", CONFIRM="wisheasy").stdout
    assert database.sql("SELECT text FROM mark", database="wisheasy") == "before"
    # What the plan gives may be a limit of the role. Two workers of two slots open 32, jobs 12, and 10 are in reserve.
    database.sql("ALTER ROLE wisheasy CONNECTION LIMIT 53")
    found = managed.migrate("python", "manage.py", "doctor", "services").stdout
    assert "PostgreSQL gives 53 connections, not DATABASE_MAX_CONNECTIONS=65" in found
    managed.write("database-ca.pem", (database.authority.parent / "cert.pem").read_text())
    assert "certificate verify failed" in managed.migrate(check=False).stderr


@pytest.fixture
def pooler(database):
    """The address of a PgBouncer in front, as the page sets it up."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if not program and not os.environ.get("CI"):
        pytest.skip("pgbouncer is not installed: apt install pgbouncer")
    assert program, "pgbouncer is not installed"
    port = free_port()
    given = database.authority.parent
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("ca.pem", "cert.pem", "key.pem"):
            shutil.copy(given / file, folder)
        (folder / "users").write_text(f'"wisheasy" "{database.password}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\nwisheasy = host={database.host} port={database.port}\n[pgbouncer]\n"
            f"listen_addr = {database.host}\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {folder}/users\n"
            f"client_tls_sslmode = require\nclient_tls_key_file = {folder}/key.pem\n"
            f"client_tls_cert_file = {folder}/cert.pem\n"
            f"server_tls_sslmode = verify-full\nserver_tls_ca_file = {folder}/ca.pem\n"
            + blocks("managed-postgresql.md", "ini")[0]
        )
        # It refuses to run as root.
        as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
        if as_nobody:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "nobody")
        log = folder / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [program, *as_nobody, str(folder / "pgbouncer.ini")], stdout=output, stderr=output
            )
        try:
            for _ in range(100):
                with socket.socket() as connection:
                    if connection.connect_ex((database.host, port)) == 0:
                        break
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield replace(database, port=port)
        finally:
            process.terminate()
            process.wait(10)


# While one thread has the connection of the pool, another goes on with what it began.
POOLED = """
import threading
from django.conf import settings
from django.db import transaction
DATABASES = settings.DATABASES
{line}
from apps.accounts.models import User
from kit.live.models import Change
for name in ("first", "second"):
    User.objects.create_user(name)
users = User.objects.order_by("pk").iterator(chunk_size=1)
names = [next(users).username]
busy, done = threading.Event(), threading.Event()
def other():
    with transaction.atomic():
        Change.objects.create(topic="notes", key="1")
        busy.set()
        done.wait(20)
thread = threading.Thread(target=other)
thread.start()
busy.wait(20)
names.append(next(users).username)
done.set()
thread.join()
print(names, Change.objects.get().position)
"""


def test_through_a_pooler_in_transaction_mode_what_the_page_says_works_does(managed, pooler, database):
    override, direct, named = blocks("managed-postgresql.md", "yaml")
    for service in ("migrate", "backup"):
        override = override.replace(f"{service}: *elsewhere", f"{service}: *direct")
    managed.write("docker-compose.override.yml", override.replace("services:", f"{direct}services:") + named)
    address = (managed.folder / "secrets/database_url").read_text()
    managed.write("secrets/database_direct_url", address)
    managed.write("secrets/database_url", address.replace(f":{database.port}/", f":{pooler.port}/"))
    managed.migrate()
    assert database.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"
    (line,) = blocks("managed-postgresql.md", "python")
    command = ["python", "manage.py", "shell", "--no-imports", "--verbosity", "0", "--command"]
    said = managed.compose(
        "--progress", "quiet", "run", "--rm", "--no-deps", "-T", "web-blue", *command, POOLED.format(line=line)
    )  # fmt: skip
    assert said.stdout == "['first', 'second'] 1\n"
    assert managed.run("make", "backup").stdout.startswith("wisheasy-")
