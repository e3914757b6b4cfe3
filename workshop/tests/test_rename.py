"""`make rename`, on copies of this checkout. The names are made up anew each time, so that no word is like them."""

import os
import random
import re
import secrets
import subprocess
import sys
import tomllib
from functools import partial

import pytest

from workshop.tests.checkout import commit, git
from workshop.tests.servers import ROOT, copy_of_the_clone

OLD = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
# No letters that make a word, and as many as the present name has, for which the code has room.
NEW, OTHER = ("".join(random.choices("bcdfghjklmnpqrstvwxz", k=max(len(OLD), 6))) for _ in range(2))
LONGEST = f"{NEW}_{'x' * 30}"[:30]


def run(folder, *command, **variables):
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **variables}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def rename(folder, name, **variables):
    return run(folder, sys.executable, "bin/rename.py", name, **variables)


def renamed(folder, name, **variables):
    result = rename(folder, name, **variables)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = copy_of_the_clone(tmp_path_factory.mktemp("rename") / "original")
    for name in ("LICENSE", "CHANGELOG.md"):
        with (folder / name).open("a") as file:
            file.write(f"{OLD} it was.\n")
    git(folder, "init", "--quiet")
    commit(folder, "Begin")
    return folder


@pytest.fixture
def clone(original, tmp_path):
    git(tmp_path, "clone", "--quiet", str(original), "clone")
    return tmp_path / "clone"


@pytest.fixture(scope="module")
def renamed_clone(original, tmp_path_factory):
    """A renamed clone, which a test may read and run."""
    folder = tmp_path_factory.mktemp("renamed") / "clone"
    git(original, "clone", "--quiet", str(original), str(folder))
    renamed(folder, NEW)
    return folder


# --- A renamed clone ---


def test_the_old_name_is_nowhere_in_the_tree(renamed_clone):
    as_a_word = rf"(^|[^a-z0-9]|\\[nrt]){OLD}([^a-z0-9]|$)"
    listed = git(renamed_clone, "ls-files", "--cached", "--others", "--exclude-standard")
    assert re.findall(as_a_word, listed, re.MULTILINE | re.IGNORECASE) == []
    options = ("--untracked", "--text", "--ignore-case", "--extended-regexp", "--files-with-matches")
    assert run(renamed_clone, "git", "grep", *options, as_a_word).stdout.split() == ["CHANGELOG.md", "LICENSE"]


def test_git_follows_the_files(renamed_clone):
    status = git(renamed_clone, "status", "--porcelain", "--find-renames=50%").splitlines()
    assert [line for line in status if line.startswith(("??", " D", "D"))] == []
    assert f"{OLD}/settings.py -> {NEW}/settings.py" in "\n".join(status)


def test_it_is_a_whole_project(renamed_clone):
    servers = ["-c", f"import {NEW}.wsgi, {NEW}.asgi"]
    for command in (servers, ["manage.py", "check"], ["manage.py", "makemigrations", "--check", "--dry-run"]):
        result = run(renamed_clone, sys.executable, *command, SECRET_KEY=secrets.token_urlsafe(64))
        assert result.returncode == 0, result.stderr


def test_some_of_its_own_tests_pass(renamed_clone):
    some = [f"tests/test_{name}.py" for name in ("translations", "compose", "env_example", "worker")]
    some += ["tests/handler/test_threads.py", "apps/accounts/tests/test_sign_in.py"]
    result = run(renamed_clone, sys.executable, "-m", "pytest", "-q", *some)
    assert result.returncode == 0, result.stdout[-3000:]


def test_it_is_in_style(renamed_clone):
    for command in (["check"], ["format", "--check"]):
        result = run(renamed_clone, sys.executable, "-m", "ruff", *command, ".")
        assert result.returncode == 0, result.stdout


def test_a_long_name_is_in_style_as_well(clone):
    renamed(clone, LONGEST)
    test_it_is_in_style(clone)


def test_renaming_it_back_leaves_nothing_changed(clone):
    renamed(clone, NEW)
    renamed(clone, OLD, FORCE="1")
    assert git(clone, "diff", "HEAD", "--stat") == ""
    assert git(clone, "status", "--porcelain") == ""


def test_until_it_is_committed_git_takes_it_back(clone):
    renamed(clone, NEW)
    run(clone, "git", "reset", "--hard")
    assert git(clone, "status", "--porcelain") == ""


# --- Another name, later ---


def test_words_that_only_contain_the_name_stay(clone):
    renamed(clone, NEW)
    own = f"{NEW}s re{NEW} my_{NEW} co-{NEW} {NEW}2 {NEW.upper()}S {NEW.capitalize()}s\n"
    (clone / "own.txt").write_text(own)
    commit(clone, "Rename, and write")
    renamed(clone, OTHER)
    assert (clone / "own.txt").read_text() == own


def test_what_is_called_after_it_follows(clone):
    renamed(clone, NEW)
    form = "{0}.settings {0}/urls.py {0}_edge {0}-web ${{X:-{0}}} {1} {1}_KEY {2} {0}는 \\n{0}\n"
    (clone / f"{NEW}_notes.txt").write_text(form.format(NEW, NEW.upper(), NEW.capitalize()))
    commit(clone, "Rename, and write")
    renamed(clone, OTHER)
    assert (clone / f"{OTHER}_notes.txt").read_text() == form.format(OTHER, OTHER.upper(), OTHER.capitalize())
    assert not (clone / NEW).exists()


@pytest.mark.parametrize("committed", [True, False])
def test_what_was_called_so_before_the_project_stays(clone, committed):
    (clone / f"my {NEW}.txt").write_text(f"A {NEW} of my own\n")
    commit(clone, "Write")
    renamed(clone, NEW)
    if committed:
        commit(clone, "Rename")
        (clone / "more.txt").write_text(f"{NEW}.settings\n")
        commit(clone, "Write more")
    renamed(clone, OTHER, FORCE="" if committed else "1")
    assert (clone / f"my {NEW}.txt").read_text() == f"A {NEW} of my own\n"
    assert not committed or (clone / "more.txt").read_text() == f"{OTHER}.settings\n"
    assert git(clone, "grep", "--untracked", "-l", "-i", NEW).splitlines() == [f"my {NEW}.txt"]
    renamed(clone, OLD, FORCE="1")
    changed = git(clone, "diff", "HEAD~2" if committed else "HEAD", "--name-only").splitlines()
    assert changed == (["more.txt"] if committed else [])


def test_a_model_of_that_name_is_refused(clone):
    renamed(clone, NEW)
    migration = clone / "apps" / "orders" / "migrations" / "0001_initial.py"
    migration.parent.mkdir(parents=True)
    migration.write_text(f'migrations.CreateModel(name="{NEW.capitalize()}")\n')
    commit(clone, "Rename, and add a model")
    path = "apps/orders/migrations/0001_initial.py"
    sentence = f"{path}:1 gives the name to databases: call that otherwise by a migration first."
    assert_refused(clone, sentence, OTHER)


# --- What is refused ---


def assert_refused(clone, sentence, name, **variables):
    before = git(clone, "status", "--porcelain")
    result = rename(clone, name, **variables)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"{sentence}\n")
    assert git(clone, "status", "--porcelain") == before


FORM = (
    "'{}' is no name that Python, PostgreSQL and Docker all take: expected lower-case letters, digits and single"
    " underscores between them, a letter first, such as in `make rename NAME=…`."
)
MODULE = "'{}' is a module that Python or an installed package brings: choose another name."
POSTGRESQL = "'{}' is reserved by PostgreSQL: choose another name."
THERE = "There is '{}' in this folder already: choose another name, or remove it."


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", FORM),
        ("Upper", FORM),
        ("two words", FORM),
        ("with-hyphen", FORM),
        ("with.dot", FORM),
        ("1digit", FORM),
        ("_private", FORM),
        ("double__underscore", FORM),
        ("underscore_", FORM),
        ("ümlaut", FORM),
        ("$(id)", FORM),
        ("x" * 31, "'{}' has 31 characters, and 30 are the most that PostgreSQL leaves room for."),
        ("nonlocal", "'{}' is a word of Python's own language: choose another name."),
        ("pg_stat", POSTGRESQL),
        ("tablesample", POSTGRESQL),
        ("public", POSTGRESQL),
        ("json", MODULE),
        ("test", MODULE),
        ("compression", MODULE),
        ("django", MODULE),
        ("redis", MODULE),
        ("apps", THERE),
        ("makefile", THERE),
        (OLD, "The project is called {} already."),
    ],
)
def test_a_name_that_cannot_be_taken_is_refused(clone, name, sentence):
    assert_refused(clone, sentence.format(name), name)


def test_what_could_not_be_told_apart_is_refused(clone):
    (clone / "own.txt").write_text(f"\n{OLD} is a {NEW}, too")
    commit(clone, "Write")
    sentence = f"own.txt:2 says '{NEW}' already, which could not be told apart there: choose another name."
    assert_refused(clone, sentence, NEW)


def test_a_folder_of_that_name_is_refused(clone):
    (clone / "apps" / NEW).mkdir()
    (clone / "apps" / NEW / "urls.py").touch()
    commit(clone, "Add an application")
    assert_refused(clone, f"There is '{NEW}' in this project already: choose another name.", NEW)


def test_what_is_not_committed_is_refused(clone):
    (clone / "own.txt").write_text("own")
    sentence = "There are changes that are not committed: commit or stash them, or say FORCE=1 to rename anyway."
    assert_refused(clone, sentence, NEW)


def test_force_takes_what_is_not_committed_with_it(clone):
    (clone / "own.txt").write_text(f"{OLD} and own")
    renamed(clone, NEW, FORCE="1")
    assert (clone / "own.txt").read_text() == f"{NEW} and own"


def test_a_folder_without_git_is_refused(original, tmp_path):
    folder = copy_of_the_clone(tmp_path / "download")
    result = rename(folder, NEW)
    assert result.returncode == 1
    assert result.stderr == (
        f"{folder} is not under Git, which finds the files and leads back: git init, git add --all, git commit first.\n"
    )
    assert (folder / OLD).is_dir()


@pytest.fixture
def make(clone):
    makefile = (clone / "Makefile").read_text().replace("\t@bin/venv\n", "").replace(".venv/bin/python", sys.executable)
    (clone / "Makefile").write_text(makefile)
    commit(clone, "Use the environment of the tests")
    return partial(run, clone, "make")


def test_an_unknown_example_is_refused(make, clone):
    there = [path.parent.name for path in sorted(ROOT.glob("apps/*/example.toml"))]
    result = make("rename", f"NAME={NEW}", f"WITHOUT={','.join([*there, 'accounts'])}")
    sentence = f"WITHOUT='accounts' is no example that is here: expected {' or '.join(there) or 'nothing'}."
    assert result.stderr.splitlines()[0] == sentence
    assert git(clone, "status", "--porcelain") == ""


def test_a_name_that_nobody_has_chosen_is_refused(make):
    assert FORM.format("") in make("rename", NAME=NEW).stderr
    assert make("rename", f"NAME={NEW}").returncode == 0


# --- An installation ---


@pytest.fixture
def installed(clone, tmp_path):
    """A clone that has been started once; `docker` answers what the test says."""
    run(clone, "docker/configure")

    def rename_with(docker, **variables):
        programs = tmp_path / "programs"
        programs.mkdir()
        (programs / "docker").write_text(f"#!/bin/sh\n{docker}\n")
        (programs / "docker").chmod(0o755)
        said = renamed(clone, NEW, PATH=f"{programs}:{os.environ['PATH']}", **variables)
        values = dict(re.findall(r"^(\w+)=(.*)$", (clone / ".env").read_text(), re.MULTILINE))
        names = [values[name] for name in ("COMPOSE_PROJECT_NAME", "POSTGRES_USER", "POSTGRES_DB")]
        user, database = re.match(r"postgres://(\w+):\w+@postgres:5432/(\w+)\n$", secret()).groups()
        return said, [*names, user, database]

    def secret():
        return (clone / "secrets" / "database_url").read_text()

    rename_with.folder = clone
    return rename_with


@pytest.mark.parametrize(
    "docker", ["echo volume", '[ "$1" = volume ] || echo container', "exit 1"], ids=["volumes", "containers", "unknown"]
)
def test_an_installation_with_data_keeps_its_names(installed, docker):
    said, names = installed(docker)
    assert names == [OLD] * 5
    assert f"The stack of this machine stays {OLD} (COMPOSE_PROJECT_NAME in .env), and its data where it is" in said


def test_an_installation_with_data_keeps_a_name_that_was_not_said(installed):
    path = installed.folder / ".env"
    path.write_text(path.read_text().replace(f"COMPOSE_PROJECT_NAME={OLD}", "COMPOSE_PROJECT_NAME="))
    assert installed("echo volume")[1] == [OLD] * 5


def test_an_installation_without_data_gets_the_new_name(installed):
    said, names = installed("exit 0")
    assert names == [NEW] * 5
    assert f".env and secrets/database_url, which no stack has used yet, say {NEW} too." in said


def test_an_installation_with_a_name_of_its_own_stays(installed):
    said, names = installed("exit 0", COMPOSE_PROJECT_NAME="another")
    assert names == [OLD] * 5
    assert ".env" not in said
