"""A recipe as its page tells it: what its code blocks say is put into a clone, word for word.

A block belongs to the file that the paragraph before it begins with. In the language `diff` it changes that file, and
`@@` stands between two places of it; in any other it is the whole of a new one.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from workshop.tests.servers import ROOT, copy_of_the_clone

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text(name: str) -> str:
    return (ROOT / "docs" / "recipes" / f"{name}.md").read_text()


def blocks(name: str, *sections: str) -> list[tuple[str, str, str]]:
    """File, language and content of each block of these sections (of all) in the order of the page. Without a file is
    what is for a shell."""
    page, found = text(name), []
    assert set(sections) <= set(re.findall(r"^## (.+)$", page, re.MULTILINE))
    for block in FENCE.finditer(page):
        before = page[: block.start()]
        section = re.findall(r"^## (.+)$", before, re.MULTILINE)[-1]
        if sections and section not in sections:
            continue
        file = re.match("`([^`]+)`", before.rstrip().rsplit("\n\n", 1)[1])
        assert file or block[1] == "sh", f"docs/recipes/{name}.md does not say which file this is for:\n{block[0]}"
        found.append((file[1] if block[1] != "sh" else "", block[1], block[2]))
    return found


def add_app(name: str, folder: Path) -> None:
    """Put the application of apps/ beside this file, which a page speaks of, into the clone at `folder`."""
    shutil.copytree(Path(__file__).parent / "apps" / name, folder / "apps" / name)
    (folder / "apps" / name / "__init__.py").touch()
    for file, line, new in (
        ("settings.py", "INSTALLED_APPS = [\n", f'    "apps.{name}",\n'),
        ("urls.py", "urlpatterns = [\n", f'    path("{name}/", {name}, name="{name}"),\n'),
        ("urls.py", "from django.urls import include, path\n", f"\nfrom apps.{name}.views import {name}\n"),
    ):
        path = folder / "wisheasy" / file
        assert line in path.read_text()
        path.write_text(path.read_text().replace(line, line + new, 1))


def migrate(name: str, folder: Path, packages: Path) -> None:
    """What the owner of the application types after the change."""
    subprocess.run(
        [sys.executable, "manage.py", "makemigrations", "--verbosity", "0", name],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(packages)}, check=True,
    )  # fmt: skip


def clone(folder: Path) -> Path:
    """What Git tracks or would take, as the first `make run-…` leaves it."""
    copy_of_the_clone(folder)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "var").mkdir()
    return folder


def follow(name: str, folder: Path, *sections: str, packages: Path) -> None:
    """Do in the clone at `folder` what these sections of the page say, commands too, which find `packages`."""
    for path, language, content in blocks(name, *sections or ["What to change"]):
        file = folder / path
        if language == "sh":
            environment = {**os.environ, "PYTHONPATH": str(packages)}
            subprocess.run(["sh", "-eux"], input=content, cwd=folder, env=environment, text=True, check=True)
        elif language == "diff":
            file.write_text(changed(file.read_text(), content, path))
        else:
            assert not file.exists(), f"docs/recipes/{name}.md makes {path}, which is there already."
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)


def changed(before: str, diff: str, path: str) -> str:
    for hunk in re.split(r"^@@.*\n", diff, flags=re.MULTILINE):
        lines = [line or " " for line in hunk.splitlines()]
        assert {line[0] for line in lines} <= set(" +-"), f"No diff for {path}:\n{hunk}"
        old = "".join(f"{line[1:]}\n" for line in lines if line[0] != "+")
        new = "".join(f"{line[1:]}\n" for line in lines if line[0] != "-")
        assert f"\n{before}".count(f"\n{old}") == 1, f"{path} has this not exactly once:\n{old}"
        before = f"\n{before}".replace(f"\n{old}", f"\n{new}")[1:]
    return before
