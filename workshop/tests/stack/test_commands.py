"""What the manual says to whoever looks into a stack that runs."""

import json
import os
import re
import signal
import subprocess

import pytest

from workshop.tests.servers import ROOT

# They do the same in every mode.
one_mode = pytest.mark.modes("wsgi")


@one_mode
def test_logs_are_followed(stack):
    process = subprocess.Popen(
        ["make", "logs"],
        cwd=stack.folder,
        env=stack.environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert "nginx" in next(line for line in process.stdout if '"status":' in line)
    finally:
        # As Ctrl+C does.
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=20)


def test_a_line_of_the_manual_picks_exceptions_out_of_the_logs():
    lines = re.findall(r"^docker compose logs .*?\| (jq .*)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    event = {"time": "now", "id": "1", "message": "It failed.", "exception": "Traceback\n  ZeroDivisionError"}
    logs = f"PostgreSQL says something\n{json.dumps({'status': 200})}\n{json.dumps(event)}\n"
    result = subprocess.run(["sh", "-c", *lines], input=logs, capture_output=True, text=True, check=True)
    assert result.stdout == "now\n1\nIt failed.\nTraceback\n  ZeroDivisionError\n"


@one_mode
def test_a_shell_takes_python(stack):
    result = subprocess.run(
        ["make", "shell"],
        cwd=stack.folder,
        env=stack.environment,
        input="print(6 * 7)\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout.endswith("42\n"), result.stdout + result.stderr


@one_mode
def test_management_commands_run_in_the_stack(stack):
    assert "showmigrations" in stack.run("make", "manage", "CMD=help --commands").stdout
    stack.compose("run", "--rm", "migrate")
