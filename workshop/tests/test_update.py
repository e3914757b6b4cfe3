"""`make update`, in a renamed clone of a copy of this checkout, whose template moves on."""

import subprocess
import sys

import pytest

from workshop.tests.checkout import commit, git
from workshop.tests.servers import copy_of_the_clone


def make(folder, *arguments):
    command = ["make", *arguments, f"PYTHON={sys.executable}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A template, and a clone of it that has been renamed."""
    folder = tmp_path_factory.mktemp("update")
    template = copy_of_the_clone(folder / "template")
    (template / "bin/venv").write_text("#!/bin/sh\n")
    git(template, "init", "--quiet", "--initial-branch=main")
    commit(template, "Begin")
    commit_more(template, {"deploy/swarm/stack.yml": "one\n", "deploy/swarm/README.md": "one\n"}, "Add hosts")
    git(folder, "clone", "--quiet", str(template), "shop")
    assert make(folder / "shop", "rename", "NAME=shop").returncode == 0
    commit(folder / "shop", "Begin shop")
    return folder


@pytest.fixture
def template(originals, tmp_path):
    git(tmp_path, "clone", "--quiet", str(originals / "template"), "template")
    return tmp_path / "template"


@pytest.fixture
def shop(originals, template, tmp_path):
    git(tmp_path, "clone", "--quiet", "--origin", "elsewhere", str(originals / "shop"), "shop")
    git(tmp_path / "shop", "remote", "add", "template", str(template))
    git(tmp_path / "shop", "config", "user.name", "owner")
    git(tmp_path / "shop", "config", "user.email", "owner@example.com")
    return tmp_path / "shop"


def commit_more(folder, files, subject):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    commit(folder, subject)


def add(folder, name, line, at=None):
    """Adds a line to a file, at its end or as line number `at`."""
    lines = (folder / name).read_text().splitlines()
    lines.insert(len(lines) if at is None else at, line)
    (folder / name).write_text("\n".join(lines) + "\n")


def updated(shop):
    result = make(shop, "update")
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_it_takes_over_what_has_changed_beside_what_the_owner_changed(shop, template):
    add(template, "kit/__init__.py", "# The template's line")
    add(template, "docker-compose.yml", "# wisheasy, WISHEASY and Wisheasy")
    (template / "nginx/mime.types").unlink()
    commit_more(template, {"kit/more/things.py": "new = 1\n", "bin/wisheasy": "wisheasy\n"}, "Change")
    add(shop, "docker-compose.yml", "# The owner's line", at=0)
    commit(shop, "Change")

    said = updated(shop)

    assert "kit/more/things.py" in said
    assert (shop / "kit/__init__.py").read_text().endswith("# The template's line\n")
    assert (shop / "kit/more/things.py").read_text() == "new = 1\n"
    assert not (shop / "nginx/mime.types").exists()
    compose = (shop / "docker-compose.yml").read_text()
    assert compose.startswith("# The owner's line\n")
    assert compose.endswith("# shop, SHOP and Shop\n")
    assert (shop / "bin/wisheasy").read_text() == "shop\n"
    head = git(template, "rev-parse", "HEAD").strip()
    assert git(shop, "show", ":.template") == f"wisheasy shop {head}\n"
    commit(shop, "Take over the template")
    assert git(shop, "status", "--porcelain") == ""


def test_a_second_time_there_is_nothing_to_take_over(shop, template):
    add(template, "Makefile", "# The template's line")
    commit(template, "Change")
    updated(shop)
    commit(shop, "Take over the template")
    assert "The template has changed nothing of its own." in updated(shop)
    assert git(shop, "status", "--porcelain") == ""


def test_the_next_update_begins_where_the_last_one_ended(shop, template):
    for line in ("# One", "# Two"):
        add(template, "Makefile", line)
        commit(template, "Change")
        updated(shop)
        commit(shop, "Take over the template")
    assert (shop / "Makefile").read_text().endswith("# One\n# Two\n")


def test_a_conflict_is_left_as_git_leaves_it(shop, template):
    for folder, line in ((template, "# The template's line"), (shop, "# The owner's line")):
        add(folder, "gunicorn.conf.py", line)
        commit(folder, "Change")
    result = make(shop, "update")
    assert result.returncode != 0
    assert "These conflict: edit them, then git add and git commit.\ngunicorn.conf.py" in result.stderr
    text = (shop / "gunicorn.conf.py").read_text()
    assert "<<<<<<< HEAD\n# The owner's line\n=======\n# The template's line\n>>>>>>>" in text
    assert git(shop, "status", "--porcelain").splitlines() == ["M  .template", "UU gunicorn.conf.py"]
    commit(shop, "Take over the template")
    assert "nothing of its own" in make(shop, "update").stdout


def test_what_is_deleted_stays_so(shop, template):
    git(shop, "rm", "-r", "--quiet", "deploy", "docker-compose.dev.yml")
    commit(shop, "Delete")
    add(template, "docker-compose.dev.yml", "# The template's line")
    commit_more(template, {"deploy/swarm/stack.yml": "two\n", "deploy/swarm/more.yml": "new\n"}, "Change")
    updated(shop)
    assert not (shop / "docker-compose.dev.yml").exists()
    assert not (shop / "deploy").exists()


def test_the_owners_files_are_left_alone_and_what_has_changed_in_the_templates_is_listed(shop, template):
    add(template, "apps/accounts/models.py", "# The template's line")
    add(template, "pyproject.toml", "# The template's line")
    commit_more(template, {"docs/more.md": "New.\n", "workshop/more.py": "new = 1\n", "rename.mk": "new:\n"}, "Change")
    said = updated(shop)
    assert "M\tapps/accounts/models.py" in said
    assert "A\tdocs/more.md" in said
    assert "workshop" not in said
    assert git(shop, "status", "--porcelain").splitlines() == ["M  .template"]


def test_a_commit_or_an_address_can_be_named(shop, template):
    add(template, "Makefile", "# One")
    commit(template, "Change")
    add(template, "Makefile", "# Two")
    commit(template, "Change")
    git(shop, "fetch", "--quiet", "template")
    assert make(shop, "update", "FROM=template/main~1").returncode == 0
    assert (shop / "Makefile").read_text().endswith("# One\n")
    commit(shop, "Take over the template")
    git(shop, "remote", "remove", "template")
    assert make(shop, "update", f"FROM={template}").returncode == 0
    assert (shop / "Makefile").read_text().endswith("# Two\n")


def assert_refused(shop, sentence):
    before = git(shop, "status", "--porcelain")
    result = make(shop, "update")
    assert result.stderr.splitlines()[0] == sentence
    assert git(shop, "status", "--porcelain") == before


def test_what_is_not_committed_is_refused(shop):
    add(shop, "Makefile", "# The owner's line")
    assert_refused(shop, "There are changes that are not committed: commit or stash them first.")


def test_a_file_that_would_be_overwritten_is_refused(shop, template):
    commit_more(template, {"kit/new.py": "new = 1\n"}, "Change")
    (shop / "kit/new.py").write_text("the owner's\n")
    assert "would be overwritten" in make(shop, "update").stderr
    assert (shop / "kit/new.py").read_text() == "the owner's\n"
    assert git(shop, "status", "--porcelain").splitlines() == ["?? kit/new.py"]


def test_without_a_template_a_sentence_says_how_to_name_it(shop):
    git(shop, "remote", "remove", "template")
    assert_refused(shop, "There is no remote `template`: git remote add template ADDRESS, or make update FROM=ADDRESS.")


def test_another_template_is_refused(shop, template):
    (shop / ".template").write_text(f"wisheasy shop {'0' * 40}\n")
    commit(shop, "Break")
    sentence = f"The commit {'0' * 40} of .template is neither here nor in the template: is that the right one?"
    assert_refused(shop, sentence)


def test_a_clone_that_is_not_renamed_is_refused(template):
    sentence = "There is no .template here: make rename creates it. Without a rename, use git merge template/main."
    assert_refused(template, sentence)
