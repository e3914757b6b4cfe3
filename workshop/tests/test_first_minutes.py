"""From the clone to the first page, on machines as people have them."""

import base64
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from contextlib import contextmanager

import httpx
import pytest

from workshop.tests.checkout import commit, git
from workshop.tests.servers import ROOT, copy_of_the_clone, free_port

HOME = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = copy_of_the_clone(tmp_path_factory.mktemp("first") / "original")
    git(folder, "init", "--quiet")
    commit(folder, "Begin")
    return folder


@contextmanager
def served(folder, target="run-asgi"):
    """`make TARGET` there, its first page, and what it says on the screen; the log is in there too."""
    port = free_port()
    process = subprocess.Popen(
        ["make", target], cwd=folder, env={**HOME, "PORT": str(port)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if "Booting worker" in line or "Application startup" in line or "Listening at" in line:
                break
        yield httpx.get(f"http://127.0.0.1:{port}/", timeout=30), lines, port
    finally:
        # As Ctrl+C does.
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=40)


def test_one_command_leads_from_a_clone_to_the_page_with_what_production_needs(original, tmp_path):
    """It installs for real: what pip has in its cache is not fetched again."""
    git(tmp_path, "clone", "--quiet", str(original), "clone")
    with served(tmp_path / "clone") as (page, lines, port):
        assert page.status_code == 200
    assert lines[:2] == [
        "Installing requirements.txt into .venv …",
        f"wisheasy is up in asgi mode: http://localhost:{port} (Ctrl+C stops it)",
    ]
    assert any("The database is an SQLite file in var/" in line for line in lines)
    packages = {path.name.split("-")[0] for path in tmp_path.glob("clone/.venv/lib/*/site-packages/*.dist-info")}
    assert "django" in packages
    assert packages & {"pytest", "ruff", "playwright"} == set()


@pytest.fixture
def clone(original, tmp_path):
    git(tmp_path, "clone", "--quiet", str(original), "clone")
    (tmp_path / "clone/.venv").symlink_to(sys.prefix)
    return tmp_path / "clone"


@pytest.mark.parametrize("name", ["two words", "내 가게", "smörgås'bord"])
def test_a_folder_of_any_name_works(clone, name):
    folder = clone.rename(clone.parent / name)
    with served(folder, "run-wsgi") as (page, _, _):
        assert page.status_code == 200
    asked = subprocess.run(
        ["docker/read_env", "COMPOSE_PROJECT_NAME"], cwd=folder, env=HOME, capture_output=True, text=True, check=True
    )
    assert asked.stdout == "wisheasy\n"


def test_files_without_the_permission_to_run_get_it_back(clone):
    """As after unpacking a ZIP archive."""
    scripts = [path for path in clone.glob("[!.]*/**/*") if path.is_file() and path.read_bytes()[:2] == b"#!"]
    scripts = [path for path in scripts if "workshop" not in path.parts and ".venv" not in path.parts]
    for path in scripts:
        path.chmod(0o644)
    subprocess.run(["make", "help"], cwd=clone, env=HOME, capture_output=True, check=True)
    assert [path for path in scripts if not os.access(path, os.X_OK)] == []
    with served(clone) as (page, _, _):
        assert page.status_code == 200


def test_a_clone_of_a_git_that_writes_crlf_has_none(original, tmp_path):
    git(tmp_path, "clone", "--quiet", "--config", "core.autocrlf=true", str(original), "clone")
    listed = git(tmp_path / "clone", "ls-files", "--eol").splitlines()
    assert [line for line in listed if "w/crlf" in line] == []


# --- bin/venv, with a package and an index of the test's own ---


def wheel(folder, name):
    """A package that is no more than its name, and its line in a lock file."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    files = {
        f"{name}.py": "",
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},sha256={digest(text)},{len(text)}\n" for file, text in files.items())
    files[f"{name}-1.0.dist-info/RECORD"] = record + f"{name}-1.0.dist-info/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


class Venv:
    """bin/venv in a folder with two lock files, and a uv that writes down how it was called."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "bin").mkdir()
        for name in ("bin/venv", ".python-version"):
            shutil.copy(ROOT / name, folder / name)
        self.lock = wheel(folder / "index", "made_up_one")
        (folder / "requirements.txt").write_text(self.lock)
        (folder / "requirements-dev.txt").write_text(self.lock + wheel(folder / "index", "made_up_two"))
        (folder / "pip.conf").write_text("[global]\n")

    def uv(self, script):
        path = self.folder / "programs/uv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "$*" >>"{self.folder}/called"\n{script}\n')
        path.chmod(0o755)

    def called(self):
        file = self.folder / "called"
        return file.read_text().splitlines() if file.exists() else []

    def __call__(self, *locks, **variables):
        environment = {
            "PATH": f"{self.folder}/programs:{os.environ['PATH']}",
            "PIP_CONFIG_FILE": f"{self.folder}/pip.conf",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"{self.folder}/index",
        }
        return subprocess.run(
            ["bin/venv", *locks],
            cwd=self.folder,
            env={**HOME, **environment, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def has(self, name):
        return bool(list(self.folder.glob(f".venv/lib/*/site-packages/{name}.py")))


@pytest.fixture
def venv(tmp_path):
    return Venv(tmp_path)


def said(result):
    return result.returncode, result.stdout, result.stderr


def test_each_lock_file_is_installed_once(venv):
    venv.uv("exit 1")
    assert said(venv()) == (0, "", "Installing requirements.txt into .venv …\n")
    assert (venv.has("made_up_one"), venv.has("made_up_two")) == (True, False)
    assert said(venv("requirements-dev.txt")) == (0, "", "Installing requirements-dev.txt into .venv …\n")
    assert venv.has("made_up_two")
    # Back and forth there is nothing to do, and for a comment neither.
    for locks in ([], ["requirements-dev.txt"]):
        assert said(venv(*locks)) == (0, "", "")
    (venv.folder / "requirements.txt").write_text(f"# Another comment\n{venv.lock}")
    assert said(venv()) == (0, "", "")
    (venv.folder / "requirements.txt").write_text(wheel(venv.folder / "index", "made_up_three"))
    assert said(venv()) == (0, "", "Installing requirements.txt into .venv …\n")
    assert venv.has("made_up_three")


def test_the_environment_is_uvs_where_it_reaches_an_index(venv):
    venv.uv('[ "$1" = pip ] || exec "$REAL" -m venv --without-pip .venv')
    assert said(venv(REAL=sys.executable)) == (0, "", "Installing requirements.txt into .venv …\n")
    assert [line.split()[0] for line in venv.called()] == ["venv", "pip"]
    assert "--require-hashes" in venv.called()[1]
    assert said(venv()) == (0, "", "")


def test_where_uv_reaches_no_index_pip_is_asked_without_a_word(venv):
    venv.uv('echo "error: failed to fetch" >&2; exit 2')
    assert said(venv()) == (0, "", "Installing requirements.txt into .venv …\n")
    assert venv.has("made_up_one")


def test_an_index_that_is_set_up_for_pip_is_pips_to_ask(venv):
    venv.uv("exit 0")
    (venv.folder / "pip.conf").write_text("[global]\nindex-url = https://mirror.example.com/simple\n")
    assert said(venv()) == (0, "", "Installing requirements.txt into .venv …\n")
    assert venv.called() == []
    assert venv.has("made_up_one")


def test_a_package_that_is_not_the_pinned_one_is_refused(venv):
    (venv.folder / "requirements.txt").write_text(re.sub("sha256:.*", f"sha256:{'0' * 64}", venv.lock))
    venv.uv("exit 1")
    result = venv()
    assert result.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in result.stderr
    assert not venv.has("made_up_one")
    # Nothing is taken for installed.
    assert venv().returncode != 0


def test_without_a_python_that_fits_a_sentence_says_what_to_install(venv):
    shell = venv.folder / "programs"
    shell.mkdir()
    for program in ("sh", "cat", "sed", "grep", "dirname", "env", "id", "rm"):
        (shell / program).symlink_to(shutil.which(program))
    result = venv(PATH=str(shell))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("No Python 3.12, 3.13 or 3.14 was found: install one")
