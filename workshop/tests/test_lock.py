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
    """A project that is served by `frame` and tested by `checker`, with `other` in a lock file beside it."""

    def __init__(self, folder, index, cache):
        self.folder, self.index, self.cache = folder, index, cache
        (folder / "bin").mkdir()
        (folder / "workshop").mkdir()
        shutil.copy(ROOT / "bin/lock", folder / "bin/lock")
        (folder / ".venv").symlink_to(sys.prefix)
        self.asks("frame~=6.1.0")
        (folder / "workshop/requirements.in").write_text("frame\nother\n")

    def asks(self, *requirements):
        (self.folder / "pyproject.toml").write_text(
            '[project]\nname = "project"\nversion = "1"\nrequires-python = ">=3.12"\n'
            f'dependencies = {list(requirements)}\n[dependency-groups]\ndev = ["checker"]\n'
        )

    def run(self, *arguments, **variables):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "UV_CACHE_DIR": str(self.cache),
            # As it is set up for pip, whose variables uv does not read.
            "PIP_INDEX_URL": f"http://127.0.0.1:{self.index.server_port}/simple",
            **variables,
        }
        command = [sys.executable, "bin/lock", *arguments]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

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


def test_what_is_served_is_pinned_with_hashes_and_the_rest_has_the_same_pins(project):
    assert project.locked() == {"frame": "6.1.2", "helper": "1.0"}
    assert project.locked("requirements-dev.txt") == {**project.locked(), "checker": "3.0"}
    assert project.locked("workshop/requirements.txt") == {**project.locked(), "other": "1.0"}
    assert (project.folder / "requirements.txt").read_text().count("--hash=sha256:") == 2


def test_no_lock_file_names_an_index(project):
    texts = [path.read_text() for path in project.folder.glob("**/requirements*.txt")]
    assert [text for text in texts if "127.0.0.1" in text or "index" in text] == []


def test_the_index_of_pip_conf_is_asked(project, index):
    (project.folder / "pip.conf").write_text(f"[global]\nindex-url = http://127.0.0.1:{index.server_port}/simple\n")
    conf = {"PIP_INDEX_URL": "", "PIP_CONFIG_FILE": str(project.folder / "pip.conf")}
    index.publish("frame", "6.1.3")
    assert project.says("--upgrade", **conf) == ["frame 6.1.2 → 6.1.3", "helper 1.0 → (removed)"]


def test_locking_keeps_the_pins_that_fit(project, index):
    index.publish("frame", "6.1.4")
    assert project.says() == ["No pin has changed."]
    assert project.locked()["frame"] == "6.1.2"


def test_an_upgrade_says_what_has_changed_and_what_is_held_back_by_pyproject(project, index):
    index.publish("frame", "6.1.4", "another")
    index.publish("another", "0.1")
    index.publish("frame", "6.2.0")
    changes = [
        "another (added) → 0.1",
        "frame 6.1.2 → 6.1.4",
        "helper 1.0 → (removed)",
        "frame 6.1.4 is held back from 6.2.0, by pyproject.toml or by another package.",
    ]
    assert [line for line in project.says("--outdated") if "helper" not in line] == [changes[0], changes[1], changes[3]]
    assert project.locked() == {"frame": "6.1.2", "helper": "1.0"}
    assert project.says("--upgrade") == changes
    assert project.locked() == {"another": "0.1", "frame": "6.1.4"}


def test_a_package_that_is_years_old_for_the_bound_of_another_is_named(project, index):
    """As django-celery-beat 2.1.0 of 2020 is taken where newer ones want an older Django."""
    index.publish("plugin", "2.1.0", "frame>=5")
    index.publish("plugin", "2.8.0", "frame<6.1")
    project.asks("frame~=6.1.0", "plugin")
    assert project.says() == [
        "plugin (added) → 2.1.0",
        "plugin 2.1.0 is held back from 2.8.0, by pyproject.toml or by another package.",
    ]


def test_an_upgrade_waits_until_a_version_is_a_week_old(project, index):
    now = datetime.now(UTC)
    index.publish("frame", "6.1.3", "helper", on=now - timedelta(days=8))
    index.publish("frame", "6.1.4", "helper", on=now - timedelta(days=6))
    assert project.says("--outdated") == ["frame 6.1.2 → 6.1.3"]
    assert project.says("--upgrade") == ["frame 6.1.2 → 6.1.3"]
    assert project.says("--upgrade", WAIT="0") == ["frame 6.1.3 → 6.1.4"]
    # The next to lock does not take it back.
    assert project.says() == ["No pin has changed."]


def test_what_cannot_be_resolved_is_said_without_a_traceback(project):
    before = (project.folder / "requirements.txt").read_text()
    project.asks("frame~=9.0")
    result = project.run("--upgrade")
    assert result.returncode == 1
    assert result.stderr.startswith("uv found no versions to pin:\n")
    assert "frame" in result.stderr
    assert "Traceback" not in result.stderr
    assert (project.folder / "requirements.txt").read_text() == before
