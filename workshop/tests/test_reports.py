"""What pytest tells of a test that fails: of one in a file of its own, for which conftest.py works too."""

import os
import subprocess
import sys

import pytest

from workshop.tests.servers import ROOT

START = "import httpx\n\nfrom workshop.tests.servers import serve\n\n\n"
CASES = {
    "a-fixture": "def test_one(server):\n    httpx.get(f'{server.url}/where-nothing-is')\n    assert False\n",
    "a-server-of-its-own": (
        "def test_one(tmp_path):\n    with serve('wsgi', tmp_path) as server:\n"
        "        httpx.get(f'{server.url}/where-nothing-is')\n        assert False\n"
    ),
}


def run_pytest(folder, test):
    (folder / "test_file.py").write_text(START + test)
    plugins = ["-p", "conftest", "-p", "workshop.conftest"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-c", ROOT / "pyproject.toml", folder / "test_file.py"],
        cwd=ROOT, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip


@pytest.mark.parametrize("test", CASES.values(), ids=CASES)
def test_a_failing_test_shows_the_log_of_its_server(tmp_path, test):
    said = run_pytest(tmp_path, test)
    assert "1 failed" in said or "2 failed" in said
    _, _, log = said.partition("Log of the server in wsgi mode")
    assert "GET /where-nothing-is" in log


def test_a_passing_test_shows_none(tmp_path):
    said = run_pytest(tmp_path, CASES["a-fixture"].replace("assert False", "pass"))
    assert "2 passed" in said
    assert "Log of the server" not in said
