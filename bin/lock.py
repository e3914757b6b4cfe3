"""Pins what pyproject.toml and each requirements.in ask for, with hashes, for every Python that the project supports.

lock.py             keeps the versions that are pinned and still fit: `make lock`
lock.py --upgrade   takes the newest that fit: `make upgrade`
lock.py --outdated  says what newer ones there are, and changes nothing: `make outdated`

Renovate repeats the commands by what uv writes at the top of the files, and knows no others (renovate.json).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
# The oldest Python that pyproject.toml names: what newer ones need less is marked so.
COMMON = ("--universal", "--generate-hashes", "--python-version=3.12")
# Each takes its pins from the one before: what is served is what was tested. `bin/venv` installs the first, which has
# all of the second.
LOCKS = {
    "requirements-dev.txt": ("--group=dev", "pyproject.toml"),
    "requirements.txt": ("--constraint=requirements-dev.txt", "pyproject.toml"),
    "bench/requirements.txt": ("--constraint=requirements.txt", "bench/requirements.in"),  # only with lab
    "tests/clones/requirements.txt": ("--constraint=requirements.txt", "tests/clones/requirements.in"),
}
# Whoever takes over somebody's package is mostly found out within days. WAIT=0 does not wait, as for a security fix.
DAYS = os.environ.get("WAIT") or "7"


def uv(*arguments: str, folder: Path, days: str = "0") -> None:
    # It needs the oldest Python in name only: none is to be searched for or fetched.
    path = os.pathsep.join((str(ROOT / ".venv/bin"), os.defpath))
    environment = {**os.environ, "PATH": path, "UV_PYTHON_DOWNLOADS": "never"}
    if days != "0":
        environment["UV_EXCLUDE_NEWER"] = f"P{days}D"
    result = subprocess.run(
        [ROOT / ".venv/bin/uv", "pip", "compile", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        hint = f"\nThat is without what is younger than {days} days: WAIT=0 asks for all." if days != "0" else ""
        sys.exit(f"uv found no versions to pin, and nothing was changed:\n{result.stderr.strip()}{hint}")


def lock(folder: Path, *options: str, days: str = "0") -> None:
    for name, arguments in LOCKS.items():
        uv("--quiet", *options, *COMMON, *arguments, f"--output-file={name}", folder=folder, days=days)


def pinned(folder: Path) -> dict[str, str]:
    """The version of each package; where the files, or the markers in them, have several, all of them."""
    found: dict[str, set[str]] = {}
    for name in LOCKS:
        for package, version in re.findall(r"^([a-z0-9.-]+)==([^\s;]+)", (folder / name).read_text(), re.MULTILINE):
            found.setdefault(package, set()).add(version)
    return {package: " and ".join(sorted(versions, key=Version)) for package, versions in found.items()}


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    words = []
    for package in sorted(before.keys() | after.keys()):
        old, new = before.get(package), after.get(package)
        if old is None:
            words.append(f"{package} {new} (added)")
        elif new is None:
            words.append(f"{package} {old} (removed)")
        elif old != new:
            words.append(f"{package} {old} → {new} ({kind(old, new)})")
    return words


def kind(old: str, new: str) -> str:
    if " " in old + new:
        return "in some of the files"
    if Version(new) < Version(old):
        return "older"
    parts = zip(Version(old).release, Version(new).release, strict=False)
    first = next((index for index, (left, right) in enumerate(parts) if left != right), 2)
    return ("major", "minor")[first] if first < 2 else "patch"


def requirements() -> list[Requirement]:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [
        Requirement(text) for text in (*pyproject["project"]["dependencies"], *pyproject["dependency-groups"]["dev"])
    ]


def outside(pins: dict[str, str], folder: Path) -> list[str]:
    """What is newer than the bounds in pyproject.toml allow, and which bounds those are."""
    source = "".join(f"{each.name}{f'[{",".join(each.extras)}]' if each.extras else ''}\n" for each in requirements())
    (folder / "newest.in").write_text(source)
    uv("--quiet", "--universal", "newest.in", "--output-file=newest.txt", folder=folder)
    newest = dict(re.findall(r"^([a-z0-9.-]+)==([^\s;]+)", (folder / "newest.txt").read_text(), re.MULTILINE))
    words = []
    for each in requirements():
        name = canonicalize_name(each.name)
        if each.specifier and name in newest and newest[name] not in each.specifier:
            words.append(
                f"{name} {pins[name]} → {newest[name]} ({kind(pins[name], newest[name])}; now {each.specifier})"
            )
    return words


def ending() -> list[str]:
    """What its makers support for less than half a year, by the table in docs/upgrading.md."""
    now = datetime.now(UTC)
    words = []
    table = (ROOT / "docs/upgrading.md").read_text()
    for what, year, month in re.findall(r"^\| (\S+ [\d.]+) \| (\d{4})-(\d\d) \|", table, re.MULTILINE):
        left = (int(year) - now.year) * 12 + int(month) - now.month
        if left < 6:
            words.append(f"{what}: until {year}-{month}{', which is over' if left < 0 else ''}")
    return words


def tell(heading: str, words: list[str]) -> None:
    print("\n".join([heading, *(f"  {line}" for line in words)]))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        # All or nothing: what uv can't resolve changes no file.
        copy = Path(name)
        for file in {"pyproject.toml", *LOCKS, *(source for *_, source in LOCKS.values())}:
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, copy / file)
        before = pinned(copy)
        if sys.argv[1:] == ["--outdated"]:
            outdated(copy, before)
            return
        upgrade = sys.argv[1:] == ["--upgrade"]
        lock(copy, *(["--upgrade"] if upgrade else []), days=DAYS if upgrade else "0")
        after = pinned(copy)
        for file in LOCKS:
            shutil.copy(copy / file, ROOT / file)
        words = changes(before, after)
        tell(f"{len(words)} packages have changed:" if words else "No package has changed.", words)
        if upgrade and (words := outside(after, copy)):
            tell("Newer than the bounds in pyproject.toml allow:", words)


def outdated(copy: Path, before: dict[str, str]) -> None:
    lock(copy, "--upgrade", days=DAYS)
    allowed = pinned(copy)
    words = changes(before, allowed)
    tell("make upgrade would change:" if words else "Everything is pinned as new as make upgrade takes it.", words)
    if DAYS != "0":
        lock(copy, "--upgrade")
        allowed, ripe = pinned(copy), allowed
        if words := changes(ripe, allowed):
            tell(f"Younger than {DAYS} days, and waited for (WAIT=0 does not):", words)
    if words := outside(allowed, copy):
        tell("Newer than the bounds in pyproject.toml allow (docs/upgrading.md):", words)
    if words := ending():
        tell("Supported for less than half a year (docs/upgrading.md):", words)


if __name__ == "__main__":
    main()
