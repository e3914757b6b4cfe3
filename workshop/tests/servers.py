"""Real servers for the tests: the production configuration on a free port, with an SQLite file of its own."""

import fcntl
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent.parent
EMBEDDED_MODES = ("wsgi", "asgi")
# Names of a file of this machine and of nobody else.
PASSWORD = secrets.token_urlsafe(16)


class Server:
    """A running server: its `mode`, its `url`, the `log` file it writes, and the `pid` of Gunicorn's master."""

    topic = "notes"

    def __init__(self, mode: str, url: str, log: Path | None = None, pid: int | None = None):
        self.mode = mode
        self.url = url
        self.log = log
        self.pid = pid

    @property
    def pushes(self) -> bool:
        return self.mode != "wsgi"

    def socket_url(self, query: str = "", topic: str | None = None) -> str:
        return f"{self.url.replace('http', 'ws', 1)}/live/{topic or self.topic}/ws{query}"

    def client(self, **options) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)

    @contextmanager
    def member(self):
        with self.client() as client:
            yield Member(client)

    @contextmanager
    def poster(self):
        with self.client() as client:
            yield Poster(client)

    def last_lines(self) -> str:
        """The end of its log: a test that fails shows it (conftest.py)."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:]) if self.log else ""


class Member:
    """A new account, which signs up as a browser without JavaScript does."""

    prefix = "member"

    def __init__(self, client: httpx.Client, name: str = ""):
        self.client = client
        self.name = name or f"{self.prefix}-{secrets.token_hex(6)}"
        self.enter()

    def enter(self) -> None:
        self.send(
            "/accounts/signup/",
            {"username": self.name, "password1": PASSWORD, "password2": PASSWORD},
            page="/accounts/signup/",
        ).raise_for_status()

    def send(self, path: str, data: dict | None = None, page: str = "/") -> httpx.Response:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.client.get(page).text)[1]
        return self.client.post(path, data={**(data or {}), "csrfmiddlewaretoken": token}, follow_redirects=True)

    def keep(self, name: str, content: bytes, **data: str) -> httpx.Response:
        """Upload a file in the way that a FileField keeps it."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.client.get("/probe/").text)[1]
        fields = {"csrfmiddlewaretoken": token, **data}
        return self.client.post("/probe/keep", data=fields, files={"file": (name, content)})

    def post(self, text: str) -> int:
        """Post a text on the page of the probe and return its number."""
        response = self.send("/probe/", {"text": text}, page="/probe/")
        assert response.status_code == 200, response.text
        # The newest is the first.
        number = re.search(r'id="post-(\d+)"', response.text)
        assert text in response.text
        return int(number[1])


class Poster(Member):
    """A member who signs in by the form of the probe, whatever pages for accounts the project has."""

    prefix = "probe"

    def enter(self) -> None:
        self.send("/probe/sign-in", {"name": self.name}, page="/probe/").raise_for_status()


def copy_of_the_clone(folder: Path) -> Path:
    """What a clone has: every file that Git tracks or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


# The servers that the present test has started.
started: list[Server] = []


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


# The same in all processes of one run, and in a pytest that a test starts.
RUN = os.environ.setdefault("PYTEST_XDIST_TESTRUNUID", secrets.token_hex(16))
_migrated: dict[str, Path] = {}


def _migrate_once(folder: Path, environment: dict[str, str]) -> None:
    """Migrate one database for each settings, and copy it."""
    settings = environment["DJANGO_SETTINGS_MODULE"]
    if settings not in _migrated:
        _manage(ROOT, environment, "migrate")
        _migrated[settings] = Path(tempfile.mkdtemp(dir=folder.parent)) / "db.sqlite3"
        shutil.copy(folder / "db.sqlite3", _migrated[settings])
    else:
        shutil.copy(_migrated[settings], folder / "db.sqlite3")


def _collect_once(environment: dict[str, str]) -> None:
    """Collect the static files of all applications once in a run: a server that starts in another process while they
    are replaced would miss some."""
    with (ROOT / "var/collected").open("a+") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        mark.seek(0)
        if mark.read() != RUN:
            settings = "workshop.probe.settings"
            _manage(ROOT, {**environment, "DJANGO_SETTINGS_MODULE": settings}, "collectstatic", "--noinput")
            mark.truncate(0)
            mark.write(RUN)


def _manage(root: Path, environment: dict[str, str], *command: str) -> None:
    subprocess.run([sys.executable, "manage.py", *command, "--verbosity", "0"], cwd=root, env=environment, check=True)


@contextmanager
def serve(mode: str, folder: Path, root: Path = ROOT, prepare: bool = True, **variables: str):
    """Serve the project at `root` in `mode` until the context ends; its database and log lie in `folder`. Not to
    `prepare` it is for a folder where it was served before."""
    port = int(variables.get("PORT") or free_port())
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "SECRET_KEY")},
        "DJANGO_SETTINGS_MODULE": "wisheasy.settings",
        "SERVER_MODE": mode,
        "PORT": str(port),
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        **variables,
    }
    if prepare and root == ROOT and not {"DATABASE_URL", "PYTHONPATH"} & set(variables):
        _migrate_once(folder, environment)
    elif prepare:
        _manage(root, environment, "migrate")
    if prepare and root == ROOT:
        _collect_once(environment)
    elif prepare:
        _manage(root, environment, "collectstatic", "--noinput")
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kit.serving"], cwd=root, env=environment, stdout=output, stderr=output
        )
    try:
        server = Server(mode, f"http://127.0.0.1:{port}", log, process.pid)
        started.append(server)
        wait_until_ready(server, process)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


def wait_until_ready(server: Server, process: subprocess.Popen) -> None:
    for _ in range(200):
        assert process.poll() is None, server.log.read_text()
        try:
            if httpx.get(f"{server.url}/healthz/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"Not ready after 10 s:\n{server.log.read_text()}")
