"""`make lock`, `make upgrade` and `make outdated`, with packages and an index of the tests' own."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from workshop.tests.servers import ROOT

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Index(ThreadingHTTPServer):
    """A package index as PyPI is one, that knows when each file was uploaded."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = {}
        self.uploaded = {}

    def publish(self, name, version, *needs, on=LONG_AGO):
        file = f"{name}-{version}-py3-none-any.whl"
        # Of a wheel, who resolves versions reads this part alone.
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        self.files[file] = (metadata + "".join(f"Requires-Dist: {need}\n" for need in needs)).encode()
        self.uploaded[file] = on.isoformat().replace("+00:00", "Z")

    def page(self, name):
        return {
            "meta": {"api-version": "1.1"},
            "name": name,
            "files": [
                {
                    "filename": file,
                    "url": f"/files/{file}",
                    "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
                    "core-metadata": True,
                    "upload-time": self.uploaded[file],
                }
                for file, data in self.files.items()
                if file.startswith(f"{name}-")
            ],
        }


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        folder, name = self.path.strip("/").split("/")
        if folder == "simple":
            body, kind = json.dumps(self.server.page(name)).encode(), "application/vnd.pypi.simple.v1+json"
        else:
            body, kind = self.server.files[name.removesuffix(".metadata")], "text/plain"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache-of-uv")


@pytest.fixture
def index():
    with Index() as index:
        threading.Thread(target=index.serve_forever, daemon=True).start()
        index.publish("frame", "6.1.2", "helper")
        index.publish("helper", "1.0")
        index.publish("checker", "3.0")
        index.publish("other", "1.0")
        yield index
        index.shutdown()


class Project:
    """A project of which `frame` is served, `checker` tests it, and `other` is measured beside it."""

    def __init__(self, folder, index, cache):
        self.folder, self.index, self.cache = folder, index, cache
        for name in ("bin", "docs", "workshop/tests/clones"):
            (folder / name).mkdir(parents=True)
        (folder / "bench").mkdir()  # only with lab
        shutil.copy(ROOT / "bin/lock.py", folder / "bin/lock.py")
        (folder / ".venv").symlink_to(ROOT / ".venv")
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "project"\nversion = "1"\nrequires-python = ">=3.12"\ndependencies = ["frame~=6.1.0"]\n'
            '[dependency-groups]\ndev = ["checker"]\n'
        )
        (folder / "bench/requirements.in").write_text("frame\nother\n")  # only with lab
        (folder / "workshop/tests/clones/requirements.in").write_text("")
        (folder / "docs/upgrading.md").write_text("")
        for name in (
            "requirements.txt",
            "requirements-dev.txt",
            "bench/requirements.txt",  # only with lab
            "workshop/tests/clones/requirements.txt",
        ):
            (folder / name).write_text("")

    def run(self, *arguments, **variables):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "UV_CACHE_DIR": str(self.cache),
            "UV_DEFAULT_INDEX": f"http://127.0.0.1:{self.index.server_port}/simple",
            **variables,
        }
        return subprocess.run(
            [sys.executable, "bin/lock.py", *arguments],
            cwd=self.folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def says(self, *arguments, **variables):
        result = self.run(*arguments, **variables)
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()

    def locked(self, name="requirements.txt"):
        return dict(re.findall(r"^(\S+)==(\S+)", (self.folder / name).read_text(), re.MULTILINE))


@pytest.fixture
def project(tmp_path, index, cache):
    project = Project(tmp_path, index, cache)
    project.says()
    return project


def test_what_is_served_is_pinned_with_hashes_and_what_tests_it_has_the_same_pins(project):
    assert project.locked() == {"frame": "6.1.2", "helper": "1.0"}
    assert project.locked("requirements-dev.txt") == {**project.locked(), "checker": "3.0"}
    assert project.locked("bench/requirements.txt") == {**project.locked(), "other": "1.0"}  # only with lab
    assert (project.folder / "requirements.txt").read_text().count("--hash=sha256:") == 2


def test_no_lock_file_names_an_index(project):
    texts = [(project.folder / name).read_text() for name in ("requirements.txt", "requirements-dev.txt")]
    assert [text for text in texts if "127.0.0.1" in text or "index" in text] == []


def test_locking_keeps_the_pins_that_fit(project, index):
    index.publish("frame", "6.1.4")
    assert project.says() == ["No package has changed."]
    assert project.locked()["frame"] == "6.1.2"


def test_an_upgrade_says_in_words_what_has_changed_and_what_is_out_of_bounds(project, index):
    index.publish("frame", "6.1.4", "another")
    index.publish("another", "0.1")
    index.publish("checker", "4.0")
    index.publish("frame", "6.2.0")
    assert project.says("--upgrade") == [
        "4 packages have changed:",
        "  another 0.1 (added)",
        "  checker 3.0 → 4.0 (major)",
        "  frame 6.1.2 → 6.1.4 (patch)",
        "  helper 1.0 (removed)",
        "Newer than the bounds in pyproject.toml allow:",
        "  frame 6.1.4 → 6.2.0 (minor; now ~=6.1.0)",
    ]
    assert project.locked() == {"another": "0.1", "frame": "6.1.4"}


def test_an_upgrade_waits_until_a_version_is_a_week_old(project, index):
    now = datetime.now(UTC)
    index.publish("frame", "6.1.3", "helper", on=now - timedelta(days=8))
    index.publish("frame", "6.1.4", "helper", on=now - timedelta(days=6))
    assert project.says("--outdated") == [
        "make upgrade would change:",
        "  frame 6.1.2 → 6.1.3 (patch)",
        "Younger than 7 days, and waited for (WAIT=0 does not):",
        "  frame 6.1.3 → 6.1.4 (patch)",
    ]
    assert project.locked()["frame"] == "6.1.2"
    project.says("--upgrade")
    assert project.locked()["frame"] == "6.1.3"
    project.says("--upgrade", WAIT="0")
    assert project.locked()["frame"] == "6.1.4"
    # And whoever locks next does not take it back.
    assert project.says() == ["No package has changed."]


def test_what_cannot_be_resolved_changes_nothing_and_is_said_without_a_traceback(project, index):
    before = (project.folder / "requirements.txt").read_text()
    pyproject = project.folder / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("frame~=6.1.0", "frame~=9.0"))
    result = project.run("--upgrade")
    assert result.returncode == 1
    assert result.stderr.startswith("uv found no versions to pin, and nothing was changed:\n")
    assert "frame" in result.stderr
    assert "Traceback" not in result.stderr
    assert (project.folder / "requirements.txt").read_text() == before


def test_what_is_soon_unsupported_is_named(project):
    soon = datetime.now(UTC) + timedelta(days=60)
    (project.folder / "docs/upgrading.md").write_text(
        f"| what | until |\n| Frame 6.1 | {soon:%Y-%m} | … |\n| Snake 3.1 | 2020-01 |\n| Snake 9.9 | 2999-01 |\n"
    )
    assert project.says("--outdated")[1:] == [
        "Supported for less than half a year (docs/upgrading.md):",
        f"  Frame 6.1: until {soon:%Y-%m}",
        "  Snake 3.1: until 2020-01, which is over",
    ]
