"""docs/security.md: each claim names the test that holds it."""

import ast
import re

import pytest

from workshop.tests.servers import ROOT

PAGE = re.sub(r" <!-- .* -->", "", (ROOT / "docs/security.md").read_text())
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| what")]


@pytest.mark.parametrize("row", ROWS)
def test_the_test_that_a_claim_names_exists(row):
    path, name = re.search(r"\| `([\w/]+\.py)::(test_\w+)` \|$", row).groups()
    tree = ast.parse((ROOT / path).read_text())
    tests = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert name in tests


def test_every_threat_has_claims():
    sections = PAGE.split("\n## ")[2:-2]
    assert [section.partition("\n")[0] for section in sections if "| what is so | test |" not in section] == []


def test_no_container_can_speak_to_docker():
    assert "docker.sock" not in (ROOT / "docker-compose.yml").read_text()


def test_nothing_is_installed_without_its_hash():
    for name in ("Dockerfile", "bin/venv"):
        text = (ROOT / name).read_text().replace("\\\n", " ")
        installing = re.findall(r"pip [^\n&]*\binstall\b[^\n&]*", text)
        assert installing
        assert all("--require-hashes" in command for command in installing)
    for name in ("requirements.txt", "requirements-dev.txt"):
        packages = re.findall(r"^\w[^\n]*==[^\n]*(?:\n +[^\n]*)*", (ROOT / name).read_text(), re.MULTILINE)
        assert len(packages) > 10
        assert all("--hash=sha256:" in package for package in packages)
