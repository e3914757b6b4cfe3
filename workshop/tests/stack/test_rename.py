"""A renamed clone, as a stack: it comes up, it takes over from the one of another name, without the examples that the
other one had, and the data can be moved."""

import random
import re
import runpy
import sys
import threading

import httpx
import pytest

from workshop.tests.checkout import commit, git
from workshop.tests.servers import ROOT, copy_of_the_clone

from .conftest import Stack

FIRST, SECOND = ("".join(random.choices("bcdfghjklmnpqrstvwxz", k=10)) for _ in range(2))


class Renamed(Stack):
    project = None

    def __init__(self, folder):
        super().__init__(folder)
        self.members: set[str] = set()

    def rename(self, name: str, without: str = "") -> str:
        said = self.run(sys.executable, "bin/rename.py", name, WITHOUT=without).stdout
        commit(self.folder, f"Rename to {name}")
        return said

    def title(self) -> str:
        return re.search("<title>Sign in · (.*)</title>", httpx.get(f"{self.url}/accounts/sign-in").text)[1]

    def sign_up(self) -> None:
        with self.member() as member:
            self.members.add(member.name)

    def assert_all_members_are_there(self) -> None:
        code = "from apps.accounts.models import User; print(*User.objects.values_list('username', flat=True))"
        said = self.compose("exec", "-T", f"web-{self.slot()}", "python", "manage.py", "shell", "-v", "0", "-c", code)
        assert set(said.stdout.split()) == self.members

    def containers(self, name: str) -> int:
        label = f"label=com.docker.compose.project={name}"
        return len(self.run("docker", "ps", "--quiet", "--filter", label).stdout.split())


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = copy_of_the_clone(tmp_path_factory.mktemp("rename") / "code")
    (folder / ".venv").symlink_to(sys.prefix)
    git(folder, "init", "--quiet")
    commit(folder, "Begin")
    stack = Renamed(folder)
    stack.rename(FIRST)
    yield stack
    for name in (FIRST, SECOND):
        options = {"check": False, "COMPOSE_PROJECT_NAME": name, "SERVER_MODE": "wsgi"}
        stack.compose("--profile", "*", "down", "--volumes", "--timeout", "5", **options)
        stack.run("docker", "image", "rm", f"{name}:blue", f"{name}:green", check=False)


def test_a_renamed_clone_comes_up(stack):
    assert stack.up("wsgi") == f"{FIRST} is up in wsgi mode: http://localhost:{stack.port}"
    assert stack.title() == FIRST
    stack.sign_up()


def test_no_word_that_postgresql_reserves_can_be_the_name(stack):
    query = "SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')"
    said = stack.compose("exec", "-T", "postgres", "psql", "--username", FIRST, "-At", "--command", query).stdout
    assert set(said.split()) - set(runpy.run_path(str(ROOT / "bin/rename.py"))["RESERVED"].split()) == set()


def test_another_name_takes_over_without_a_lost_request_and_with_the_data(stack):
    examples = ",".join(path.parent.name for path in stack.folder.glob("apps/*/example.toml"))
    assert f"The stack of this machine stays {FIRST}" in stack.rename(SECOND, examples)
    answers, over = [], threading.Event()

    def visit():
        with httpx.Client(timeout=20) as client:
            while not over.wait(0.05):
                try:
                    answers.append(client.get(stack.url).status_code)
                except httpx.TransportError as error:
                    answers.append(repr(error))

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        assert stack.up("asgi") == f"{SECOND} is up in asgi mode: http://localhost:{stack.port}"
    finally:
        over.set()
        visitor.join()
    assert set(answers) == {200}
    assert stack.title() == SECOND
    assert not list(stack.folder.glob("apps/*/example.toml"))
    stack.sign_up()
    stack.assert_all_members_are_there()
    assert stack.containers(SECOND) == 0


def test_a_rollback_leads_back_to_the_name_before(stack):
    stack.run("make", "rollback")
    assert stack.title() == FIRST


def test_the_data_move_to_the_new_name(stack):
    """As docs/operations.md says, "Another name"."""
    name = re.match(r"(\S+\.dump) ", stack.run("make", "backup").stdout)[1]
    stack.compose("cp", f"backup:/var/lib/postgresql/{name}", f"../{name}")
    stack.run("make", "down")
    stack.run("rm", "secrets/database_url")
    names = [f"{variable}={SECOND}" for variable in ("COMPOSE_PROJECT_NAME", "POSTGRES_USER", "POSTGRES_DB")]
    stack.run("docker/configure", *names)
    stack.up("hybrid")
    stack.run("make", "restore", f"FILE=../{name}", CONFIRM=SECOND)
    stack.seconds_until_ready()
    stack.assert_all_members_are_there()
    assert (stack.containers(FIRST), stack.containers(SECOND) > 0) == (0, True)
