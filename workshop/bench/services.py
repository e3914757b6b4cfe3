"""PostgreSQL, Redis and Nginx for one run: those that are given, else throw-away ones, else containers."""

import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis

from . import measure, processes
from .sides import CORES

# More than the default of 100 where a side with two workers for each core needs them.
MAX_CONNECTIONS = max(100, 40 * CORES)
DATABASE = "wisheasy_bench"
READY_WITHIN = 30


@dataclass
class Services:
    variables: dict[str, str]
    """What the project is told: DATABASE_URL, DATABASE_MAX_CONNECTIONS, REDIS_URL."""
    backends: measure.Backends
    versions: dict[str, str]


# What is measured is the servers in front, not this machine's disk.
POSTGRES_SETTINGS = (f"max_connections={MAX_CONNECTIONS}", "fsync=off")


@contextmanager
def services(folder: Path, settings: tuple[str, ...] = POSTGRES_SETTINGS) -> Iterator[Services]:
    """`settings` are those of a PostgreSQL that is started here."""
    with ExitStack() as stack:
        arguments = [word for setting in settings for word in ("-c", setting)]
        admin = os.environ.get("DATABASE_URL") or stack.enter_context(_postgres(folder, arguments))
        address = stack.enter_context(_database(admin))
        redis_url = os.environ.get("REDIS_URL") or stack.enter_context(_redis(folder))
        with psycopg.connect(admin) as connection:
            most = connection.execute("SHOW max_connections").fetchone()[0]
            version = connection.execute("SHOW server_version").fetchone()[0]
        try:
            redis_version = redis.Redis.from_url(redis_url).info("server")["redis_version"]
        except (redis.RedisError, ValueError) as error:
            raise SystemExit(f"The Redis of REDIS_URL does not answer: {error}") from None
        yield Services(
            {"DATABASE_URL": address, "DATABASE_MAX_CONNECTIONS": most, "REDIS_URL": redis_url},
            measure.Backends(admin, DATABASE),
            {"PostgreSQL": version.split()[0], "Redis": redis_version},
        )


@contextmanager
def _database(admin: str) -> Iterator[str]:
    """A database of the bench's own in the server that `admin` leads to: the bench writes rows."""

    def execute(statement: str) -> None:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(statement)

    try:
        execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.Error as error:
        reason = str(error).partition("\n")[0]
        raise SystemExit(f"In the PostgreSQL of DATABASE_URL {DATABASE} can't be created: {reason}") from None
    try:
        yield urlunsplit(urlsplit(admin)._replace(path=f"/{DATABASE}"))
    finally:
        execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


@contextmanager
def _postgres(folder: Path, arguments: list[str]) -> Iterator[str]:
    port = processes.free_port()
    address = f"postgres://postgres@127.0.0.1:{port}/postgres"
    log = folder / "postgres.log"
    with ExitStack() as stack:
        if initdb := find_postgres():
            data, options = stack.enter_context(_data_folder())
            options["cwd"] = data
            processes.run(
                [str(initdb), "--pgdata", str(data / "db"), "--username", "postgres", "--auth", "trust", "--no-sync"],
                "initdb",
                **options,
            )
            command = [str(initdb.with_name("postgres")), "-D", str(data / "db"), "-p", str(port), "-k", str(data)]
            command += ["-h", "127.0.0.1", *arguments]
            process = stack.enter_context(processes.running(command, log, stop_signal=2, **options))
        elif shutil.which("docker"):
            variables = ["-e", "POSTGRES_HOST_AUTH_METHOD=trust"]
            process = stack.enter_context(_container("postgres:18", (port, 5432), log, variables, arguments))
        else:
            raise SystemExit(
                "make -C workshop bench needs PostgreSQL: install it (`apt install postgresql`,"
                " `brew install postgresql`) or Docker, or set DATABASE_URL."
            )
        _until(lambda: psycopg.connect(address, connect_timeout=2).close(), psycopg.Error, process, log, "PostgreSQL")
        yield address


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    port = processes.free_port()
    log = folder / "redis.log"
    with ExitStack() as stack:
        if server := shutil.which("redis-server"):
            command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
            process = stack.enter_context(processes.running(command, log))
        elif shutil.which("docker"):
            process = stack.enter_context(_container("redis:8", (port, 6379), log))
        else:
            raise SystemExit(
                "make -C workshop bench needs Redis: install it (`apt install redis-server`, `brew install redis`)"
                " or Docker, or set REDIS_URL."
            )
        client = redis.Redis(port=port)
        _until(client.ping, redis.RedisError, process, log, "Redis")
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def nginx(folder: Path, server_port: int) -> Iterator[int]:
    """A small Nginx, with kept connections to the server as in the stack; its port. Raises StartFailed."""
    port = processes.free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port, server_port=server_port, cores=CORES))
    log = folder / "nginx.log"
    with ExitStack() as stack:
        if binary := find_nginx():
            command = [binary, "-e", str(log), "-c", str(configuration)]
            process = stack.enter_context(processes.running(command, log))
        elif shutil.which("docker"):
            mounts = ["--network", "host", "-v", f"{folder}:{folder}"]
            process = stack.enter_context(
                _container("nginx:1.30", None, log, mounts, ["nginx", "-c", str(configuration)])
            )
        else:
            raise processes.StartFailed("There is neither Nginx nor Docker: `apt install nginx`, `brew install nginx`.")
        processes.until_answers(process, port, log)
        yield port


NGINX = """
daemon off;
worker_processes {cores};
pid {folder}/nginx.pid;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream server {{ server 127.0.0.1:{server_port}; keepalive 32; }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests 1000000;
        location / {{
            proxy_pass http://server;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


def find_postgres() -> Path | None:
    """initdb, beside which postgres lies: on the PATH, or where Debian and Ubuntu hide it."""
    if found := shutil.which("initdb"):
        return Path(found).resolve()
    hidden = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max(hidden, key=lambda path: int(path.parts[-3]), default=None)


def find_nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def _data_folder() -> Iterator[tuple[Path, dict]]:
    """A folder for PostgreSQL, which refuses to run as root, and how to run it as its owner."""
    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as name:
        if os.geteuid() != 0:
            yield Path(name), {}
            return
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        owner = names.get("postgres") or names["nobody"]
        os.chown(name, owner.pw_uid, owner.pw_gid)
        yield Path(name), {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


@contextmanager
def _container(image: str, ports: tuple[int, int] | None, log: Path, options=(), arguments=()):
    name = f"wisheasy-bench-{image.partition(':')[0]}-{os.getpid()}"
    publish = ["-p", "127.0.0.1:{}:{}".format(*ports)] if ports else []
    command = ["docker", "run", "--rm", "--name", name, *publish, *options, image, *arguments]
    try:
        with processes.running(command, log) as process:
            yield process
    finally:
        # The client may have been killed before its container was gone.
        with processes.running(["docker", "rm", "--force", name], log) as removal:
            removal.wait()


def _until(ready: Callable, error: type[Exception], process, log: Path, what: str) -> None:
    # A container's image may have to be fetched first.
    give_up = time.monotonic() + READY_WITHIN * (10 if "docker" in process.args[0] else 1)
    while True:
        try:
            return ready()
        except error:
            if process.poll() is not None or time.monotonic() > give_up:
                raise SystemExit(f"{what} did not start: {processes.last_line(log)}") from None
            time.sleep(0.1)
