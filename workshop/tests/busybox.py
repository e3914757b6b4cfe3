"""A PATH with nothing in it but BusyBox's tools, bash, and what the test adds: stands in for a Mac, whose tools have
few of GNU's options, and which has no flock."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

# What a Mac has and BusyBox has not; and what it has not.
ADDED = ("bash", "make", "git", "getconf", "printenv")
MISSING = ("flock", "timeout", "sha256sum", "tac", "nproc", "setsid", "docker")


def tools(folder: Path, *more: str) -> Path:
    """That folder, with a link for each program."""
    busybox = shutil.which("busybox")
    if not busybox and not os.environ.get("CI"):
        pytest.skip("BusyBox is not installed")
    folder.mkdir(parents=True)
    for name in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name not in MISSING:
            (folder / name).symlink_to(busybox)
    for name in (*ADDED, *more):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(shutil.which(name))
    return folder
