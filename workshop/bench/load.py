"""The clients that press on a server: wrk, and a burst of requests that all come at once."""

import re
import selectors
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass

GET_WRK = "make -C workshop bench needs wrk: `apt install wrk` on Debian and Ubuntu, `brew install wrk` on macOS."
UNITS = {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


@dataclass
class Outcome:
    """What a client saw; times in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int


def require_wrk() -> None:
    if not shutil.which("wrk"):
        raise SystemExit(GET_WRK)


def wrk(port: int, path: str, clients: int, seconds: int) -> Outcome:
    # One thread: more would take the second core from the server.
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
    url = f"http://127.0.0.1:{port}{path}"
    done = subprocess.run([*command, url], capture_output=True, text=True, start_new_session=True, check=False)
    if done.returncode:
        raise ValueError(f"wrk failed: {(done.stderr or done.stdout).strip()[:200]}")
    return read_wrk(done.stdout)


def read_wrk(text: str) -> Outcome:
    """Read the report of `wrk --latency`. Errors are the answers that are no 2xx or 3xx and those that never came."""
    requests, seconds = re.search(r"(\d+) requests in ([\d.]+\w+),", text).groups()
    percentiles = {
        share: _milliseconds(value) for share, value in re.findall(r"^\s+(\d+)%\s+([\d.]+\w+) *$", text, re.M)
    }
    errors = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    if lost := re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text):
        errors += sum(map(int, lost.groups()))
    return Outcome(int(requests), _milliseconds(seconds) / 1000, percentiles["50"], percentiles["99"], errors)


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()
    return float(number) * UNITS[unit]


def burst(port: int, path: str, count: int, within: float = 30) -> Outcome:
    """Open `count` connections, ask for `path` once on each, and wait for all answers.

    `seconds` is the time from the first connection to the last answer.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    started = time.perf_counter()
    starts: dict[socket.socket, float] = {}
    first_bytes: dict[socket.socket, bytes] = {}
    took = []
    errors = 0
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            try:
                connection = socket.create_connection(("127.0.0.1", port), timeout=within)
                connection.sendall(request)
            except OSError:
                errors += 1
                continue
            connection.setblocking(False)
            starts[connection] = time.perf_counter()
            selector.register(connection, selectors.EVENT_READ)
        while starts and (left := started + within - time.perf_counter()) > 0:
            for key, _ in selector.select(left):
                connection = key.fileobj
                try:
                    data = connection.recv(262_144)
                except OSError:
                    data = b""
                if data:
                    first_bytes.setdefault(connection, data[:16])
                    continue
                took.append((time.perf_counter() - starts.pop(connection)) * 1000)
                errors += b" 200 " not in first_bytes.get(connection, b"")
                selector.unregister(connection)
                connection.close()
    errors += len(starts)
    for connection in starts:
        connection.close()
    seconds = time.perf_counter() - started
    return Outcome(count - errors, seconds, percentile(took, 50), percentile(took, 99), errors)


def percentile(values: list[float], share: int) -> float:
    """The value that `share` per cent do not exceed; 0 where there is none."""
    return sorted(values)[max(0, -(-len(values) * share // 100) - 1)] if values else 0.0
