"""docs/upgrading.md names the versions that the project has, and every place has the same ones."""

import re
import tomllib

from workshop.tests.servers import ROOT

from .test_compose import SERVICES

UPGRADING = (ROOT / "docs/upgrading.md").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def image(service):
    return SERVICES[service]["image"].partition(":")[2]


def bound(package):
    return next(text.partition("~=")[2] for text in PYPROJECT["project"]["dependencies"] if text.startswith(package))


def test_the_table_is_of_the_versions_that_are_used():
    assert dict(re.findall(r"^\| (\w+) ([\d.]+) \| \d{4}-\d\d \|", UPGRADING, re.MULTILINE)) == {
        "Django": bound("django").removesuffix(".0"),
        "Python": (ROOT / ".python-version").read_text().strip(),
        "PostgreSQL": image("postgres"),
        "Nginx": image("nginx"),
    }


def test_backups_are_made_by_the_postgresql_that_serves():
    assert image("backup") == image("postgres")


def test_every_place_has_the_same_python():
    python = (ROOT / ".python-version").read_text().strip()
    places = {
        ".env.example": r"^PYTHON_VERSION=(.*)$",
        "Dockerfile": r"^ARG PYTHON_VERSION=(.*)$",
        "docker-compose.yml": r"\$\{PYTHON_VERSION:-([^}]+)\}",
        ".devcontainer/devcontainer.json": r'"image": "[^"]+:([^"]+)"',
    }
    found = {name: set(re.findall(line, (ROOT / name).read_text(), re.MULTILINE)) for name, line in places.items()}
    assert found == {name: {python} for name in places}


def test_packages_are_pinned_for_the_oldest_python_that_the_project_takes():
    (oldest,) = re.findall(r">=([\d.]+)", PYPROJECT["project"]["requires-python"])
    for name in ("requirements.txt", "requirements-dev.txt"):
        assert f"--python-version={oldest} " in (ROOT / name).read_text().splitlines()[1]
