"""The stack on a real Docker Engine: started from a fresh copy of the repository, as a new user does, and switched from
mode to mode while it runs. The same tests run in each mode."""

import contextlib
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from kit.serving.modes import MODES
from workshop.tests.copies import copy_with_the_probe
from workshop.tests.servers import ROOT, Server, free_port


class Stack(Server):
    project: str | None = "wisheasy-e2e"
    """None: the one that .env says."""
    topic = "probe"

    def __init__(self, folder: Path):
        self.port = free_port()
        super().__init__(mode="", url=f"http://127.0.0.1:{self.port}")
        self.folder = folder
        # Every post that a test was told is saved: its number and text.
        self.posts: dict[int, str] = {}
        self.open = contextlib.ExitStack()
        # A WebSocket without news since then: opened at once, so that what asks about it need not wait.
        self.silent: tuple[ClientConnection, float] | None = None

    @property
    def environment(self) -> dict[str, str]:
        named = {"COMPOSE_PROJECT_NAME": self.project} if self.project else {}
        return {**BASE, "HTTP_PORT": str(self.port), **named}

    def run(
        self, *command: str, check: bool = True, stdin: str | None = None, **variables: str
    ) -> subprocess.CompletedProcess:
        result = subprocess.run(
            command, cwd=self.folder, env={**self.environment, **variables}, input=stdin,
            capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        if check:
            assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout[-3000:]}\n{result.stderr[-6000:]}"
        return result

    def compose(self, *command: str, **options) -> subprocess.CompletedProcess:
        return self.run("docker", "compose", *command, **options)

    def remove(self) -> None:
        """Its containers, networks and volumes."""
        options = ["--volumes", "--remove-orphans", "--timeout", "5"]
        # So that Compose can read its file even where .env was never made.
        self.compose("--profile", "*", "down", *options, check=False, SERVER_MODE="wsgi")

    def up(self, mode: str) -> str:
        """Start or switch the stack; the last line that the command prints."""
        self.mode = mode
        return self.run("make", f"up-{mode}").stdout.strip().splitlines()[-1]

    def last_lines(self) -> str:
        return self.compose("logs", "--no-color", "--tail", "30", check=False).stdout

    def services(self) -> list[str]:
        return self.compose("ps", "--services").stdout.split()

    def serving(self) -> list[str]:
        """The services that answer visitors: web-blue, or web-green, and in hybrid mode live beside it."""
        return sorted(name for name in self.services() if name.startswith(("web-", "live-")))

    def slot(self) -> str:
        return httpx.get(f"{self.url}/healthz/ready", timeout=10).json()["slot"]

    def seconds_until_ready(self, limit: float = 60) -> float:
        """Until readiness and the first page are answered 200 through Nginx."""
        begin = time.monotonic()
        while time.monotonic() - begin < limit:
            try:
                if all(
                    httpx.get(f"{self.url}{path}", timeout=5).status_code == 200
                    for path in ("/healthz/ready", "/probe/")
                ):
                    return time.monotonic() - begin
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"Not ready within {limit} s:\n{self.compose('logs', '--tail', '50').stdout}")

    def post(self, text: str) -> int:
        """Post a text in a new session; its number."""
        with self.poster() as poster:
            number = poster.post(text)
        self.posts[number] = text
        return number

    def assert_no_post_is_lost(self) -> None:
        changes = httpx.get(f"{self.url}/live/probe/changes?after=0", timeout=10).json()["changes"]
        html = {int(change["id"]): change["html"] for change in changes}
        assert [number for number, text in self.posts.items() if text not in (html.get(number) or "")] == []


class Loopback(httpx.HTTPTransport):
    """Finds the names of the site on this machine."""

    def handle_request(self, request):
        here = httpx.Request(
            request.method,
            request.url.copy_with(host="127.0.0.1"),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )
        return super().handle_request(here)


# A bare environment: what the person who runs the tests has set for the project decides nothing.
BASE = {
    "PATH": os.environ["PATH"],
    "HOME": str(Path.home()),
    # All that the tests send comes from one address, as fast as can be. What limits live pages stays: 200 of them must
    # not meet it (test_releases.py). test_limits.py has an Nginx of its own, with all the defaults.
    **dict.fromkeys(("LIMIT_PAGES", "LIMIT_SIGN_IN", "LIMIT_SIGN_UP"), "0"),
}


def eventually(condition, within=15):
    """What it returns, as soon as that is true: what another process does, or a line that comes after an answer."""
    end = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return value


class Machine(Stack):
    """Another machine: a clone of its own, whose project has this name."""

    def __init__(self, checkout: Path, folder: Path, project: str | None = None):
        shutil.copytree(
            checkout, folder, ignore=shutil.ignore_patterns(".env", ".env.names", ".release.lock", "secrets")
        )
        super().__init__(folder)
        self.project = project or type(self).project

    def write(self, name: str, text: str) -> None:
        """A file that containers may read."""
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o644)


@pytest.fixture(scope="session")
def gateway():
    """An address of this machine that the containers of every project reach."""
    inspect = ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
    return subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    return copy_with_the_probe(tmp_path_factory.mktemp("stack") / "wisheasy")


@pytest.fixture(scope="session")
def stopped_stack(checkout):
    stack = Stack(checkout)
    # What a run that was killed has left.
    stack.remove()
    yield stack
    stack.open.close()
    stack.remove()


@pytest.fixture(scope="session", params=MODES)
def stack(stopped_stack, request):
    last_line = stopped_stack.up(request.param)
    assert last_line == f"{stopped_stack.project} is up in {request.param} mode: http://localhost:{stopped_stack.port}"
    if request.param == "asgi":
        # Of a topic in which nothing is published: a client that reads nothing answers no ping after some messages.
        address = stopped_stack.socket_url(topic="lab")
        silent = stopped_stack.open.enter_context(connect(address, ping_interval=None))
        stopped_stack.silent = silent, time.monotonic()
    return stopped_stack


# What is left of a test that failed: a picture of each page it had open, and the log of the stack. CI keeps it.
FAILURES = ROOT / "var/failures"
FAILED = pytest.StashKey[Path]()


def pytest_sessionstart(session):
    # In one process alone: another has its first failure, or takes the place of one that crashed.
    if not hasattr(session.config, "workerinput"):
        shutil.rmtree(FAILURES, ignore_errors=True)


# What needs no stack, or starts its own. All others share one, which is switched from mode to mode.
ON_THEIR_OWN = {
    f"test_{name}.py"
    for name in ("addresses", "backups", "deploy", "dev", "https", "recipes", "releases", "shop", "two_hosts",
                 "units_on_services")
}  # fmt: skip


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class ByStack(LoadScopeScheduling):
        """One process tests all that share the stack, and the other takes one file after the other."""

        def _split_scope(self, nodeid):
            file = Path(nodeid.partition("::")[0]).name
            return file if file in ON_THEIR_OWN else "stack"

    return ByStack(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed:
        folder = FAILURES / re.sub(r"[^\w.-]+", "-", item.name)
        folder.mkdir(parents=True, exist_ok=True)
        item.stash[FAILED] = folder
        for stack in item.funcargs.values():
            if isinstance(stack, Stack):
                logs = stack.compose("logs", "--no-color", "--timestamps", "--tail", "2000", check=False)
                (folder / f"{stack.project}.log").write_text(logs.stdout + logs.stderr)
    return report


@pytest.fixture
def figures(request):
    """Sentences with a figure, listed when the tests are over."""
    figures = []
    yield figures
    # The report of a test brings them from the process that ran it.
    request.node.user_properties += [("figure", each) for each in figures]


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("figures")
    for report in [report for reports in terminalreporter.stats.values() for report in reports]:
        for _, figure in getattr(report, "user_properties", ()):
            terminalreporter.line(figure)


@pytest.fixture
def new_page(browser, stack, request):
    """Open pages, each of a visitor of its own; they are closed in the end. If the test fails, pictures show them."""
    contexts = []

    def open_page(path="/", **options):
        context = browser.new_context(base_url=f"http://localhost:{stack.port}", **options)
        contexts.append(context)
        page = context.new_page()
        page.goto(path)
        return page

    yield open_page
    for number, context in enumerate(contexts, 1):
        for page in context.pages if FAILED in request.node.stash else ():
            page.screenshot(path=request.node.stash[FAILED] / f"page-{number}.png")
        context.close()
