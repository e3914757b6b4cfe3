"""Copies of the repository that tests may change: what Git tracks or would take, in a repository of its own."""

import os
import subprocess
import sys
from pathlib import Path

from workshop.tests.servers import copy_of_the_clone


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
