"""`make template-diff`, with a small template and projects that were made of it, as Git repositories."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.servers import ROOT

FILES = {
    "pyproject.toml": '[project]\nname = "seed"\n',
    "seed/settings.py": 'NAME = "seed"\n',
    "seed/pages.txt": "".join(f"line {number}\n" for number in range(30)),
    "apps/example/views.py": "first\n",
    "docs/notes.md": "".join(f"note {number}\n" for number in range(30)),
}


class Repository:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def git(self, *command, check=True):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder.parent)}
        for who in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{who}_NAME": "somebody", f"GIT_{who}_EMAIL": "somebody@example.com"}
        result = subprocess.run(
            ["git", *command], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0 or not check, result.stderr
        return result.stdout.strip()

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(self, name):
        return (self.folder / name).read_text()

    def replace(self, name, old, new):
        self.write(name, self.read(name).replace(old, new, 1))

    def commit(self, message):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")


class Project(Repository):
    def clone(self, template):
        self.git("clone", "--quiet", str(template.folder), ".")
        self.git("remote", "rename", "origin", "template")

    def start_afresh(self):
        shutil.rmtree(self.folder / ".git")
        self.git("init", "--quiet")
        return self.commit("Begin")

    def rename(self, name):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder.parent)}
        subprocess.run([sys.executable, "bin/rename.py", name], cwd=self.folder, env=environment, check=True)
        self.commit(f"Rename to {name}")

    def diff(self, **variables):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder.parent), **variables}
        return subprocess.run(
            [sys.executable, "bin/template_diff.py"],
            cwd=self.folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def template(tmp_path):
    template = Repository(tmp_path / "template")
    template.git("init", "--quiet", "--initial-branch", "main")
    for name, text in FILES.items():
        template.write(name, text)
    for name in ("bin/rename.py", "bin/template_diff.py", "docker/setting"):
        template.write(name, (ROOT / name).read_text())
    (template.folder / "docker/setting").chmod(0o755)
    template.write(".env.example", "COMPOSE_PROJECT_NAME=seed\n")
    template.commit("Begin the template")
    template.replace("seed/pages.txt", "line 5", "line five")
    template.commit("Spell five")
    return template


@pytest.fixture
def project(tmp_path, template):
    project = Project(tmp_path / "project")
    project.clone(template)
    return project


def test_nothing_has_changed(project):
    result = project.diff()
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.startswith("The template has changed nothing since ")


def test_what_the_template_has_changed_is_shown_and_nothing_of_the_projects_own(project, template):
    project.replace("seed/pages.txt", "line 29", "our own line")
    project.commit("Change something here")
    template.replace("seed/pages.txt", "line 9", "line nine")
    template.commit("Spell nine")
    result = project.diff()
    assert "-line 9\n+line nine\n" in result.stdout
    assert "our own" not in result.stdout
    assert "  Spell nine\n" in result.stderr
    assert "Spell five" not in result.stderr


@pytest.mark.parametrize("history", ["kept", "fresh", "fresh-after-the-renaming"])
def test_it_is_taken_over_in_the_projects_own_name_and_not_shown_again(project, template, history):
    if history == "fresh":
        project.start_afresh()
    project.rename("shop")
    if history == "fresh-after-the-renaming":
        project.start_afresh()
    project.replace("shop/pages.txt", "line 29", "our own line")
    project.commit("Change something here")
    template.replace("seed/pages.txt", "line 9", "line nine of seed")
    template.write("seed/more.py", "import seed\n")
    newest = template.commit("Spell nine")

    result = project.diff(FROM=str(template.folder))
    assert result.returncode == 0, result.stderr
    assert "+line nine of shop\n" in result.stdout
    assert "+++ b/shop/more.py\n" in result.stdout
    assert "seed" not in result.stdout
    assert "five" not in "".join(line for line in result.stdout.splitlines() if line[:1] in "+-")
    assert ("There is no history of the template" in result.stderr) == (history != "kept")

    project.git("cherry-pick", "template/changes")
    assert "line nine of shop\n" in project.read("shop/pages.txt")
    assert "our own line\n" in project.read("shop/pages.txt")
    assert project.read("shop/more.py") == "import shop\n"
    assert newest in project.read(".template")
    assert project.diff(FROM=str(template.folder)).stderr.startswith("The template has changed nothing since ")

    template.replace("docs/notes.md", "note 3", "note three")
    template.commit("Spell three")
    result = project.diff(FROM=str(template.folder))
    assert "+note three\n" in result.stdout
    assert "nine" not in result.stdout
    project.git("cherry-pick", "template/changes")
    assert "note three\n" in project.read("docs/notes.md")


def test_a_line_that_both_have_changed_is_a_conflict_of_git(project, template):
    project.replace("docs/notes.md", "note 7", "our seven")
    project.commit("Change seven here")
    template.replace("docs/notes.md", "note 7", "note seven")
    template.commit("Spell seven")
    project.diff()
    project.git("cherry-pick", "template/changes", check=False)
    assert "<<<<<<< HEAD\nour seven\n=======\nnote seven\n>>>>>>> " in project.read("docs/notes.md")


def test_what_was_taken_out_is_left_out(project, template):
    project.git("rm", "-r", "--quiet", "apps/example")
    project.commit("Take the example out")
    template.replace("apps/example/views.py", "first", "second")
    template.write("apps/example/forms.py", "a form\n")
    template.replace("docs/notes.md", "note 3", "note three")
    template.commit("Change the example")
    result = project.diff()
    assert "note three" in result.stdout
    assert "example" not in result.stdout
    project.git("cherry-pick", "template/changes")
    assert not (project.folder / "apps").exists()


def test_a_merge_of_the_templates_history_counts_as_taken_over(project, template):
    template.replace("docs/notes.md", "note 3", "note three")
    template.commit("Spell three")
    project.write("own.txt", "own\n")
    project.commit("Add something here")
    project.git("pull", "--quiet", "--no-rebase", "template", "main")
    assert project.diff().stderr.startswith("The template has changed nothing since ")


def test_the_checkout_and_its_branches_stay_as_they_are(project, template):
    project.rename("shop")
    template.replace("docs/notes.md", "note 3", "note three")
    template.commit("Spell three")
    before = [project.git(*command) for command in (["status", "--porcelain"], ["branch", "--all"], ["log"])]
    project.diff()
    assert [project.git(*command) for command in (["status", "--porcelain"], ["branch", "--all"], ["log"])] == before
    assert len(project.git("worktree", "list").splitlines()) == 1


def test_who_does_not_say_where_the_template_is_is_asked(project):
    project.git("remote", "remove", "template")
    result = project.diff()
    assert result.returncode == 1
    assert result.stderr.startswith("Where is the template? Say it once: git remote add template ADDRESS")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"FROM": "/nowhere"}, "'/nowhere' does not appear to be a git repository"),
        ({"BASE": "nothing"}, "BASE='nothing'"),
    ],
)
def test_what_is_not_there_is_said_without_a_traceback(project, variables, sentence):
    result = project.diff(**variables)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
