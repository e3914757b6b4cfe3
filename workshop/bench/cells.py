"""Measures one side at one workload, once."""

import json
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException

from . import load, measure
from .servers import Server
from .workloads import SECONDS, Workload

MEGABYTE = 1024 * 1024
BROADCASTS = {False: 10, True: 20}
# Seconds that idle WebSockets are held.
HELD = {False: 2, True: 30}


class NotMeasured(Exception):
    """There is no figure; the message says why."""


def measured(workload: Workload, server: Server, backends: measure.Backends | None, full: bool) -> dict[str, float]:
    """The figures of one run, see figures.Results. Raises NotMeasured."""
    try:
        if workload.client in ("idle", "broadcast"):
            return _sockets(workload, server, backends, full)
        _try_once(server.port, workload.path)
        # Threads and connections are there before the clock starts.
        load.burst(server.port, workload.path, min(16, workload.clients))
        with measure.Watch(server.roots, backends) as watch:
            if workload.client == "burst":
                outcome = load.burst(server.port, workload.path, workload.clients)
            else:
                outcome = load.wrk(server.port, workload.path, workload.clients, SECONDS[full])
    except (OSError, HTTPException, ValueError) as error:
        raise NotMeasured(str(error) or repr(error)) from None
    return {
        "rps": outcome.requests / outcome.seconds,
        "cpu": watch.cpu / outcome.requests * 1e6 if outcome.requests else None,
        "p50": outcome.p50,
        "p99": outcome.p99,
        "memory": watch.memory / MEGABYTE,
        "backends": watch.backends,
        "errors": outcome.errors,
        "seconds": outcome.seconds,
    }


def _try_once(port: int, path: str) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        if (status := connection.getresponse().status) != 200:
            raise NotMeasured(f"{path} is answered {status}.")
    finally:
        connection.close()


def _sockets(workload: Workload, server: Server, backends, full: bool) -> dict[str, float]:
    task = {
        "kind": workload.name,
        "port": server.live_port,
        "path": workload.path,
        "count": workload.clients,
        "times": BROADCASTS[full],
        "seconds": HELD[full],
    }
    # The modules that only a first connection loads are no part of what a connection takes.
    converse(server, {**task, "kind": "idle", "count": 50, "seconds": 0}, measure.Watch(server.roots))
    before = measure.memory(server.roots)
    watch, result = converse(server, task, measure.Watch(server.roots, backends))
    took = result["took"]
    figures = {
        "rps": len(took) / watch.seconds if took else None,
        "cpu": watch.cpu / len(took) * 1e6 if took else None,
        "p50": load.percentile(took, 50) if took else None,
        "p99": load.percentile(took, 99) if took else None,
        "memory": watch.memory / MEGABYTE,
        "backends": watch.backends,
        "errors": result["errors"],
        "seconds": watch.seconds,
    }
    if workload.client == "idle":
        figures["per_socket"] = (watch.memory_at_end - before) / workload.clients / 1024
    return figures


def converse(server: Server, task: dict, watch) -> tuple[measure.Watch, dict]:
    """Have the client of sockets.py do `task`, under `watch` from when all sockets are open."""
    client = subprocess.Popen(
        [sys.executable, "-m", "workshop.bench.sockets", json.dumps(task)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=server.checkout,
        env={**server.variables, "WEB_CONCURRENCY": "1"},
        start_new_session=True,
    )
    try:
        if client.stdout.readline() != "ready\n":
            raise NotMeasured((client.stderr.read().strip().splitlines() or ["The client ended."])[-1])
        # What opening them has started, garbage and all, settles.
        time.sleep(0.5)
        with watch:
            client.stdin.write("\n")
            client.stdin.flush()
            line = client.stdout.readline()
        if not line:
            raise NotMeasured((client.stderr.read().strip().splitlines() or ["The client ended."])[-1])
        client.stdin.close()
        return watch, json.loads(line)
    finally:
        try:
            client.wait(10) if client.stdin.closed else client.kill()
        except subprocess.TimeoutExpired:
            client.kill()
        client.wait()
        for pipe in (client.stdin, client.stdout, client.stderr):
            if not pipe.closed:
                pipe.close()
