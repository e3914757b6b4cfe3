"""Processes of the bench: each started in a group of its own, and none left behind."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from . import measure

ROOT = Path(__file__).resolve().parent.parent.parent
# Seconds until a process that was asked to end is killed, and until a server has to answer.
STOP_WITHIN = 5
START_WITHIN = 30


class StartFailed(Exception):
    """It did not start; the message is the last line of what it said."""


@contextmanager
def running(
    command: list[str], log: Path, stop_signal: int = signal.SIGTERM, cwd: Path = ROOT, **options
) -> Iterator[subprocess.Popen]:
    """Run `command` for as long as the context lasts."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=cwd,
            **options,
        )
    try:
        yield process
    finally:
        process.send_signal(stop_signal)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_WITHIN)
        _kill_group(process.pid)
        process.wait()


def kill_children() -> None:
    """Kill what is still there of the processes that this one started: the last thing it does."""
    for pid in measure.tree([os.getpid()]) - {os.getpid()}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until_answers(process: subprocess.Popen, port: int, log: Path) -> None:
    """Wait until the server answers and all of its workers have come to rest. Raises StartFailed."""
    give_up = time.monotonic() + START_WITHIN
    while _status(port, "/healthz/live") != 200:
        if process.poll() is not None:
            raise StartFailed(last_line(log) or f"It ended with the status {process.returncode}.")
        if time.monotonic() > give_up:
            raise StartFailed(f"No answer within {START_WITHIN} s; its last line: {last_line(log)}")
        time.sleep(0.05)
    # The first worker answers. The others are ready when nobody computes any more.
    before = measure.cpu_seconds([process.pid])
    while time.monotonic() < give_up:
        time.sleep(0.2)
        after = measure.cpu_seconds([process.pid])
        if after - before < 0.03:
            return
        before = after


def _status(port: int, path: str) -> int | None:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": f"127.0.0.1:{port}"})
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def run(command: list[str], what: str, **options) -> None:
    """Run a command to its end. Where it fails, the bench ends with the last line it wrote."""
    options.setdefault("cwd", ROOT)
    done = subprocess.run(command, capture_output=True, text=True, start_new_session=True, check=False, **options)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        raise SystemExit(f"{what} failed: {lines[-1]}")


def last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else ""


def _kill_group(pid: int) -> None:
    # macOS answers "not permitted" where all that is left of a group is dead.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
