"""Copies of the repository that tests may change: what Git tracks or would take, in a repository of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

from workshop.tests.servers import copy_of_the_clone


def copy_with_the_probe(folder: Path) -> Path:
    """A clone whose image has the workshop in it and serves workshop.probe.settings: what tests of the stack start."""
    copy_of_the_clone(folder)
    _change(folder / ".dockerignore", r"^!kit$", "!kit\n!workshop")
    _change(folder / "Dockerfile", r"^COPY kit kit$", "COPY kit kit\nCOPY workshop workshop")
    _change(folder / "Dockerfile", r"DJANGO_SETTINGS_MODULE=[\w.]+", "DJANGO_SETTINGS_MODULE=workshop.probe.settings")
    return folder


def _change(file: Path, old: str, new: str) -> None:
    text, count = re.subn(old, new, file.read_text(), flags=re.MULTILINE)
    assert count == 1, f"{file.name} has {count} of {old}"
    file.write_text(text)


class Clone:
    def __init__(self, folder: Path):
        self.folder = copy_of_the_clone(folder)
        (folder / ".venv").symlink_to(sys.prefix)
        self.run("git", "init", "--quiet")
        self.run("git", "add", "--all")

    def run(self, *command: str, check: bool = True, **variables: str):
        """Run a command in it, of which the environment of whoever tests knows nothing."""
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
        result = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        if check:
            assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout[-6000:]}\n{result.stderr[-3000:]}"
        return result

    def python(self, *arguments: str, **options):
        return self.run(sys.executable, *arguments, **options)

    def check(self, *tests: str) -> None:
        """Style, settings, models and the choice of its own tests; and no other test lacks what it rests on."""
        self.python("-m", "ruff", "check", ".")
        self.python("-m", "ruff", "format", "--check", ".")
        self.python("manage.py", "check", SECRET_KEY=os.environ["SECRET_KEY"])
        self.python("manage.py", "makemigrations", "--check", "--dry-run", SECRET_KEY=os.environ["SECRET_KEY"])
        self.python("-m", "pytest", "-q", "--collect-only", "apps", "tests", "tests/stack")
        self.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
