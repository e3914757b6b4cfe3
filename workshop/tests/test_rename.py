"""`make rename`, on copies of this checkout."""

import re
import secrets
import subprocess
import sys

import pytest

from workshop.tests.checkout import commit, git
from workshop.tests.servers import copy_of_the_clone

# What has not been merged into the owner's files: the licence stays with what stays the template's.
NAMES_THE_TEMPLATE = {".template", "kit/LICENSE"}


def rename(folder, name="shop", **variables):
    """`make rename`, with the packages of these tests in the place of .venv."""
    command = ["make", "rename", f"NAME={name}", f"PYTHON={sys.executable}"]
    command += [f"{name}={value}" for name, value in variables.items()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = copy_of_the_clone(tmp_path_factory.mktemp("rename") / "template")
    # The packages are there.
    (folder / "bin/venv").write_text("#!/bin/sh\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "Begin")
    (folder / "README.md").write_text("Changed.\n")
    commit(folder, "Change")
    return folder


@pytest.fixture
def clone(original, tmp_path):
    git(tmp_path, "clone", "--quiet", str(original), "clone")
    return tmp_path / "clone"


@pytest.fixture(scope="module")
def renamed(original, tmp_path_factory):
    """Renamed clones, by the variables that they were renamed with, for tests that only read."""
    clones = {}

    def renamed(name="shop", **variables):
        key = (name, *variables.items())
        if key not in clones:
            folder = clones[key] = tmp_path_factory.mktemp("renamed") / "clone"
            git(original, "clone", "--quiet", str(original), str(folder))
            result = rename(folder, name, **variables)
            assert (result.returncode, result.stderr) == (0, "")
        return clones[key]

    return renamed


def files(folder):
    return git(folder, "ls-files").splitlines()


# --- What is left ---

EVERY_WAY = [{}, {"KEEP": "wishes"}, {"LANGUAGES": "en,ko"}, {"CI": "gitlab"}]


@pytest.fixture(params=EVERY_WAY, ids=["alone", "with the example", "in two languages", "on GitLab"])
def shop(request, renamed):
    return renamed(**request.param)


def test_what_is_left_reads_as_the_owners(shop):
    found = subprocess.run(
        ["git", "grep", "-I", "-il", "wisheasy"], cwd=shop, capture_output=True, text=True, check=False
    )
    assert set(found.stdout.split()) - NAMES_THE_TEMPLATE == set()
    assert [path for path in files(shop) if "wisheasy" in path] == []


def test_nothing_is_left_of_what_is_the_templates_alone(shop):
    gone = {"workshop", ".ci", "LICENSE", "README.ko.md", "rename.mk", ".github/workflows/workshop.yml"}
    assert {path for path in gone if (shop / path).exists()} == set()
    found = subprocess.run(
        ["git", "grep", "-I", "-l", "workshop/"], cwd=shop, capture_output=True, text=True, check=False
    )
    assert set(found.stdout.split()) <= {"bin/update"}
    assert "make rename" not in subprocess.run(["make"], cwd=shop, capture_output=True, text=True, check=True).stdout


def test_the_readme_is_of_one_screen_and_the_changelog_empty(renamed):
    readme = (renamed() / "README.md").read_text()
    assert readme.startswith("# shop\n")
    assert len(readme.splitlines()) < 60
    assert "licence" in readme
    assert (renamed() / "CHANGELOG.md").read_text() == "# Changelog\n\n## Unreleased\n"


def test_the_readme_names_commands_and_places_that_are_there(renamed):
    readme = (renamed() / "README.md").read_text()
    targets = re.findall(r"^([a-z0-9 -]+):", (renamed() / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"(?:`|^|; )make ([a-z0-9-]+)", readme, re.MULTILINE))
    assert named
    assert named <= set(" ".join(targets).split())
    folders = re.findall(r"`((?:apps|kit|nginx|docker|docs|tests|shop)/)`", readme)
    assert [folder for folder in folders if not (renamed() / folder).is_dir()] == []
    assert [link for link in re.findall(r"\]\(([^)]+)\)", readme) if not (renamed() / link).is_file()] == []


def run(folder, *arguments):
    environment = {
        "PATH": "/usr/bin:/bin",
        "SECRET_KEY": secrets.token_urlsafe(64),
        "DATABASE_URL": "sqlite://:memory:",
    }
    result = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_it_is_a_whole_project(shop):
    run(shop, "manage.py", "check")
    run(shop, "-c", "import shop.wsgi, shop.asgi")


# Nothing is formatted: no name, long or short, may need it.
@pytest.mark.parametrize("name", ["ab", "shop", "b" * 30, "green_grocer"])
def test_it_is_in_style_whatever_it_is_called(renamed, name):
    for command in (["check"], ["format", "--check"]):
        run(renamed(name), "-m", "ruff", *command, ".")


def test_the_example_goes_with_its_lines_or_stays(renamed):
    assert not (renamed() / "apps/wishes").exists()
    assert "wishes" not in (renamed() / "shop/settings.py").read_text() + (renamed() / "shop/urls.py").read_text()
    assert "apps.wishes" in (renamed(KEEP="wishes") / "shop/settings.py").read_text()
    assert (renamed(KEEP="wishes") / "apps/wishes/models.py").exists()


def test_it_speaks_the_languages_that_were_chosen(renamed):
    def languages(folder):
        settings = (folder / "shop/settings.py").read_text()
        catalogues = {path.split("/locale/")[1].split("/")[0] for path in files(folder) if "/locale/" in path}
        code = re.search(r'^LANGUAGE_CODE = "(\w+)"', settings, re.MULTILINE)[1]
        return code, re.findall(r'\("(\w+)", ', re.search(r"^LANGUAGES = .*", settings, re.MULTILINE)[0]), catalogues

    assert languages(renamed()) == ("en", ["en"], set())
    assert languages(renamed(LANGUAGES="en,ko")) == ("en", ["en", "ko"], {"ko"})
    assert languages(renamed(LANGUAGES="ko")) == ("ko", ["ko"], {"ko"})


def test_its_documents_are_in_the_languages_that_were_chosen(renamed):
    english, both = renamed(), renamed(LANGUAGES="en,ko")
    assert list((english / "docs").glob("*.ko.md")) == []
    assert [path for path in (english / "docs").glob("*.md") if ".ko.md" in path.read_text()] == []
    assert (both / "docs/first-deploy.ko.md").exists()
    assert "first-deploy.ko.md" in (both / "docs/first-deploy.md").read_text()


def test_it_has_the_workflows_of_one_provider(renamed):
    assert not (renamed() / ".gitlab-ci.yml").exists()
    assert sorted(path.name for path in (renamed() / ".github/workflows").iterdir()) == ["ci.yml", "deploy.yml"]
    assert (renamed(CI="gitlab") / ".gitlab-ci.yml").exists()
    assert not (renamed(CI="gitlab") / ".github").exists()


def test_the_address_of_origin_chooses_the_provider(clone):
    git(clone, "remote", "set-url", "origin", "git@gitlab.com:owner/wisheasy.git")
    assert rename(clone).returncode == 0
    assert (clone / ".gitlab-ci.yml").exists()


def test_it_is_within_its_budget(renamed):
    kept = [path for path in files(renamed()) if not re.search(r"(requirements[\w-]*\.txt|\.(svg|png|mo))$", path)]
    lines = {path: len((renamed() / path).read_text(errors="replace").splitlines()) for path in kept}
    owners = [path for path in kept if not path.startswith(("kit/", "nginx/", "docker/", "deploy/"))]
    assert len(kept) <= 285
    assert sum(lines.values()) <= 21_350
    assert len(owners) <= 102
    assert sum(lines[path] for path in owners) <= 6_000


# --- Git ---


def test_origin_becomes_template_and_the_commit_is_recorded(renamed, original):
    assert git(renamed(), "remote").split() == ["template"]
    head = git(original, "rev-parse", "HEAD").strip()
    assert (renamed() / ".template").read_text() == f"wisheasy shop {head}\n"


def test_the_origin_of_a_repository_of_ones_own_stays(original, tmp_path):
    """As "Use this template" makes it: one commit, and origin is the owner's."""
    git(tmp_path, "clone", "--quiet", str(original), "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "--quiet", "--orphan", "mine")
    commit(clone, "Initial commit")
    assert rename(clone).returncode == 0
    assert git(clone, "remote").split() == ["origin"]


def test_until_it_is_committed_git_takes_it_back(clone):
    rename(clone)
    git(clone, "reset", "--hard")
    assert git(clone, "status", "--porcelain") == ""
    assert (clone / "wisheasy/settings.py").exists()
    assert not (clone / "shop/settings.py").exists()


def test_a_stack_that_was_started_keeps_its_name_and_so_its_data(clone):
    subprocess.run(["docker/configure"], cwd=clone, check=True, capture_output=True)
    before = (clone / ".env").read_text()
    assert "COMPOSE_PROJECT_NAME=wisheasy" in before
    assert rename(clone).returncode == 0
    assert (clone / ".env").read_text() == before


# --- What is refused ---


def assert_refused(clone, sentence, *arguments, **variables):
    before = git(clone, "status", "--porcelain")
    result = rename(clone, *arguments, **variables)
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == sentence
    assert git(clone, "status", "--porcelain") == before


FORM = "NAME='{}' is wrong: expected up to 30 lower-case letters, digits and single _, such as NAME=shop."
TAKEN = "NAME='{}' is taken by Python, a package or a file: choose another."
REFUSED = {FORM: ["", "Upper", "two words", "with-hyphen", "1digit", "_x", "a__b", "a_", "ümlaut", "x" * 31]}
REFUSED |= {TAKEN: ["nonlocal", "json", "django", "redis", "apps"]}
REFUSED |= {"NAME='{}' is PostgreSQL's own: choose another.": ["user", "pg_stat"]}


@pytest.mark.parametrize(
    ("sentence", "name"), [(sentence, name) for sentence, names in REFUSED.items() for name in names]
)
def test_a_name_that_cannot_be_taken_is_refused(clone, sentence, name):
    assert_refused(clone, sentence.format(name), name)


def test_options_that_mean_nothing_are_refused(clone):
    assert_refused(clone, "KEEP='lab' is wrong: expected wishes.", KEEP="lab")
    assert_refused(clone, "CI='jenkins' is wrong: expected github or gitlab.", CI="jenkins")
    sentence = "LANGUAGES='xx' is wrong: expected en or ko, with commas between them."
    assert_refused(clone, sentence, LANGUAGES="en,xx")


def test_what_is_not_committed_is_refused_unless_it_is_meant(clone):
    (clone / "own.txt").write_text("wisheasy and own")
    sentence = "There are changes that are not committed: commit or stash them, or set FORCE=1."
    assert_refused(clone, sentence)
    assert rename(clone, FORCE="1").returncode == 0
    assert (clone / "own.txt").read_text() == "shop and own"


def test_a_folder_without_git_is_refused(tmp_path):
    folder = copy_of_the_clone(tmp_path / "download")
    (folder / "bin/venv").write_text("#!/bin/sh\n")
    result = rename(folder)
    sentence = "This is no Git checkout with a commit: git init, git add --all and git commit come first."
    assert result.stderr.splitlines()[0] == sentence
    assert (folder / "wisheasy/settings.py").exists()


def test_variables_of_the_shell_are_not_taken(clone, monkeypatch):
    monkeypatch.setenv("NAME", "shop")
    result = subprocess.run(
        ["make", "rename", f"PYTHON={sys.executable}"], cwd=clone, capture_output=True, text=True, check=False
    )
    assert result.stderr.splitlines()[0] == FORM.format("")
    # As each CI sets it.
    monkeypatch.setenv("CI", "true")
    assert rename(clone).returncode == 0
