"""The stack on a real Docker Engine: started from a fresh copy of the repository, as a new user does, and switched from
mode to mode while it runs. The same tests run in each mode."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import sync_playwright

from tests.servers import ROOT, Server, free_port
from wisheasy.serving.modes import MODES


class Stack(Server):
    project = "wisheasy-e2e"

    def __init__(self, folder: Path):
        self.port = free_port()
        super().__init__(mode="", url=f"http://127.0.0.1:{self.port}")
        self.folder = folder
        # Every wish that a test was told is saved: its number and text.
        self.wishes: dict[int, str] = {}

    def run(self, *command: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess:
        environment = {"COMPOSE_PROJECT_NAME": self.project, "HTTP_PORT": str(self.port), **variables}
        environment = {**{name: value for name, value in BASE.items() if name not in environment}, **environment}
        result = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        if check:
            assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout[-3000:]}\n{result.stderr[-6000:]}"
        return result

    def compose(self, *command: str, **options) -> subprocess.CompletedProcess:
        return self.run("docker", "compose", *command, **options)

    def up(self, mode: str) -> str:
        """Start or switch the stack; the last line that the command prints."""
        self.mode = mode
        return self.run("make", f"up-{mode}").stdout.strip().splitlines()[-1]

    def services(self) -> list[str]:
        return self.compose("ps", "--services").stdout.split()

    def serving(self) -> list[str]:
        """The services that answer visitors: web-blue, or web-green, and in hybrid mode live beside it."""
        return sorted(name for name in self.services() if name.startswith(("web-", "live-")))

    def slot(self) -> str:
        return httpx.get(f"{self.url}/healthz/ready", timeout=10).json()["slot"]

    def seconds_until_ready(self, limit: float = 60) -> float:
        """Until readiness and the board are answered 200 through Nginx."""
        begin = time.monotonic()
        while time.monotonic() - begin < limit:
            try:
                if all(
                    httpx.get(f"{self.url}{path}", timeout=5).status_code == 200 for path in ("/healthz/ready", "/")
                ):
                    return time.monotonic() - begin
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"Not ready within {limit} s:\n{self.compose('logs', '--tail', '50').stdout}")

    def post(self, text: str) -> int:
        """Post a wish as somebody new; its number."""
        with self.member() as member:
            number = member.wish(text)
        self.wishes[number] = text
        return number

    def assert_no_wish_is_lost(self) -> None:
        changes = httpx.get(f"{self.url}/live/wishes/changes?after=0", timeout=10).json()["changes"]
        html = {int(change["id"]): change["html"] for change in changes}
        assert [number for number, text in self.wishes.items() if text not in (html.get(number) or "")] == []


# A bare environment: what the person who runs the tests has set for the project decides nothing.
BASE = {"PATH": os.environ["PATH"], "HOME": str(Path.home())}


# So that Compose can read its file even where .env was never made.
PLACEHOLDERS = {"SECRET_KEY": "x", "POSTGRES_PASSWORD": "x"}


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """What a clone has: every file that Git tracks or would take."""
    folder = tmp_path_factory.mktemp("stack") / "wisheasy"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def stopped_stack(checkout):
    stack = Stack(checkout)
    yield stack
    stack.compose(
        "--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5", check=False, **PLACEHOLDERS
    )  # fmt: skip


@pytest.fixture(scope="session", params=MODES)
def stack(stopped_stack, request):
    last_line = stopped_stack.up(request.param)
    assert last_line == f"wisheasy is up in {request.param} mode: http://localhost:{stopped_stack.port}"
    return stopped_stack


FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def figures(pytestconfig):
    """Sentences with a figure, listed when the tests are over."""
    return pytestconfig.stash.setdefault(FIGURES, [])


def pytest_terminal_summary(terminalreporter, config):
    terminalreporter.section("figures")
    for figure in config.stash.get(FIGURES, []):
        terminalreporter.line(figure)


@pytest.fixture(scope="session")
def chromium():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    # As root, in a container or a CI machine, Chromium has no sandbox; and it need not look for its maker's servers.
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium, stack):
    """Open pages, each of a visitor of its own; they are closed in the end."""
    contexts = []

    def open_page(path="/", **options):
        context = chromium.new_context(base_url=f"http://localhost:{stack.port}", **options)
        contexts.append(context)
        page = context.new_page()
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
