"""How much each part of the stack works for a page and for a change: `python -m workshop.bench.sizing`.

For 1, 2 and 3 web processes: requests a second of a page with one query, and the CPU that the web processes,
PostgreSQL and Redis take for each request, for each delivery to one of 1,000 open pages, and for each change.
ROUNDS (5) is how often each is measured. The medians go to results/sizing.json, and from there to deploy/sizing.md.
"""

import json
import secrets
import sys
import tempfile
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median

import psycopg
import redis

from . import cells, load, measure, processes, servers, services, sides, topics, workloads

SECONDS, CHANGES = 4, 200
RESULTS = Path(__file__).parent / "results/sizing.json"


class Shares:
    """Seconds of CPU that each group of processes takes while the context lasts."""

    def __init__(self, groups: dict[str, list[int]]):
        self.groups = groups

    def __enter__(self):
        self.before, self.began = self._now(), time.perf_counter()
        return self

    def __exit__(self, *exception):
        self.seconds = time.perf_counter() - self.began
        self.cpu = {name: now - self.before[name] for name, now in self._now().items()}

    def _now(self) -> dict[str, float]:
        return {name: measure.cpu_seconds(roots) for name, roots in self.groups.items()}


def main() -> None:
    topics.prepare()
    found = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name, services.services(Path(name)) as around:
        folder = Path(name)
        shared = servers.shared_variables(folder, around.variables, secrets.token_urlsafe(64))
        processes.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], "migrate", env=shared)
        beside = {"PostgreSQL": [postmaster(around)], "Redis": [redis_server(around)]}
        # Round after round, so that a machine which gets slower for a while wrongs no row.
        for _ in range(topics.ROUNDS):
            for count, side in product((1, 2, 3), (sides.WSGI, sides.ASGI)):
                with servers.serving(replace(side, workers=count), folder, shared) as server:
                    groups = {"web": server.roots, **beside}
                    measured = page(server, groups) | (live(server, groups) if side is sides.ASGI else {})
                for key, figure in measured.items():
                    found.setdefault(f"{side.name}, {count}", {}).setdefault(key, []).append(figure)
    medians = {row: {key: median(of) for key, of in figures.items()} for row, figures in found.items()}
    for row, figures in medians.items():
        print(f"{row}:", "; ".join(f"{key} {figure:,.4g}" for key, figure in figures.items()))
    RESULTS.write_text(json.dumps(medians, indent=1, ensure_ascii=False) + "\n")


def page(server, groups) -> dict[str, float]:
    load.burst(server.port, "/lab/query/sync", 16)
    with Shares(groups) as shares:
        outcome = load.wrk(server.port, "/lab/query/sync", 32, SECONDS)
    found = {"requests a second": outcome.requests / outcome.seconds, "errors of pages": outcome.errors}
    return found | {f"{name}, µs a request": cpu / outcome.requests * 1e6 for name, cpu in shares.cpu.items()}


def live(server, groups) -> dict[str, float]:
    hub = workloads.BY_NAME["hub"]
    task = {"kind": hub.name, "port": server.port, "path": hub.path, "count": hub.clients, "times": CHANGES}
    shares, result = cells.converse(server, task, Shares(groups))
    took, cpu = result["took"], shares.cpu
    return {
        "p99, ms": load.percentile(took, 99),
        "errors of live pages": result["errors"],
        "web, µs a delivery": cpu["web"] / len(took) * 1e6,
        "PostgreSQL, µs a change": cpu["PostgreSQL"] / CHANGES * 1e6,
        "Redis, µs a change": cpu["Redis"] / CHANGES * 1e6,
    }


def postmaster(around: services.Services) -> int:
    with psycopg.connect(around.variables["DATABASE_URL"]) as connection:
        folder = connection.execute("SHOW data_directory").fetchone()[0]
    return int(Path(folder, "postmaster.pid").read_text().split()[0])


def redis_server(around: services.Services) -> int:
    return redis.Redis.from_url(around.variables["REDIS_URL"]).info("server")["process_id"]


if __name__ == "__main__":
    main()
