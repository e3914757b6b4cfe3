"""Git, for the tests that change a copy of this repository."""

import subprocess
from pathlib import Path


def git(folder: Path, *command: str) -> str:
    """What a Git answers that knows nobody and no settings of this machine."""
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *command], cwd=folder, capture_output=True, text=True, check=True).stdout


def commit(folder: Path, subject: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", subject)
