"""What all pages have in common that change the code."""

import os
import re
import subprocess
import sys

import pytest

from workshop.tests.servers import ROOT

from . import page

# Each page, and of one that knows two ways, each of them: the sections with what to change.
WAYS = {
    "celery": ("celery", "What to change"),
    "asgi-application": ("another-framework", "An ASGI application (FastAPI)"),
    "wsgi-application": ("another-framework", "A WSGI application (Flask)"),
}
# The application of apps/ that a page speaks of.
APPS = {}
NAMES = sorted({name for name, *_ in WAYS.values()})


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS)
def followed(request, packages, tmp_path_factory):
    """A clone in which somebody has done what a page says, and the Python files that it speaks of."""
    name, *sections = request.param
    clone = page.clone(tmp_path_factory.mktemp("page") / "wisheasy")
    if name in APPS:
        page.add_app(APPS[name], clone)
    page.follow(name, clone, *sections, packages=packages)
    if name in APPS:
        page.migrate(APPS[name], clone, packages)
    files = {path for path, *_ in page.blocks(name, *sections) if path.endswith(".py")}
    return clone, sorted(files)


def test_what_a_page_adds_is_in_the_style_of_the_project(followed):
    clone, files = followed
    for command in (["check"], ["format", "--check"]):
        result = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", *files],
            cwd=clone, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout


def test_the_owners_tests_agree_with_what_a_page_has_changed(followed, packages):
    files = [f"tests/test_{name}.py" for name in ("containers", "pages", "settings")]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        cwd=followed[0], env={**os.environ, "PYTHONPATH": str(packages)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_package_of_a_page_is_tried_in_the_version_that_the_page_names(name):
    named = re.findall(r'^Add `"(\S+)"` to the packages', page.text(name), re.MULTILINE)
    tried = (ROOT / "workshop/tests/clones/requirements.in").read_text().splitlines()
    assert named
    assert [requirement for requirement in named if requirement not in tried] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_how_to_check_and_how_to_go_back(name):
    headings = re.findall(r"^## (.+)$", page.text(name), re.MULTILINE)
    assert headings[-2:] == ["How to check", "How to go back"]
