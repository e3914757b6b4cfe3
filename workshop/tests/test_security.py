"""What no file of the project may hold: Docker's socket, a package without its hash."""

import re

from workshop.tests.servers import ROOT


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
