"""The bench's own environment: the other servers, and beside them what the project needs."""

import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from .processes import ROOT

FOLDER = ROOT / "var" / "bench" / "environment"
LOCKS = (ROOT / "requirements.txt", ROOT / "workshop" / "bench" / "requirements.txt")
# Has to be compiled; the bench does without it where there is no compiler.
COMPILED = "uwsgi"


def environment(say) -> Path:
    """The folder of the environment, made or brought up to date where that is needed."""
    wanted = "".join(lock.read_text() for lock in LOCKS) + sys.version
    mark = FOLDER / "installed"
    if mark.exists() and mark.read_text() == wanted:
        return FOLDER
    say("Installing the other servers into var/bench/environment (about a minute) …")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", str(FOLDER)])
    easy, compiled = split(LOCKS[1].read_text())
    lists = {"easy.txt": easy, "compiled.txt": compiled}
    for name, text in lists.items():
        (FOLDER / name).write_text(text)
    _install(["--only-binary", ":all:", "-r", str(LOCKS[0]), "-r", str(FOLDER / "easy.txt")])
    # Where it fails, its side does not start, and the row says why.
    with suppress(subprocess.CalledProcessError):
        _install(["--no-deps", "-r", str(FOLDER / "compiled.txt")])
    mark.write_text(wanted)
    return FOLDER


def split(lock: str) -> tuple[str, str]:
    """The lock without what has to be compiled, and that."""
    entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)
    compiled = [entry for entry in entries if entry.startswith(f"{COMPILED}==")]
    return "".join(entry for entry in entries if entry not in compiled), "".join(compiled)


def _install(arguments: list[str]) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes"]
    _run([str(FOLDER / "bin" / "python"), "-m", "pip", "install", *options, *arguments])


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, start_new_session=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
