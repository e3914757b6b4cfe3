"""docs/choosing-a-mode.md gives figures as reasons: each is in workshop/bench/results/latest.json or in the code."""

import json
import re

import pytest

from kit.serving import timeouts
from kit.serving.modes import ASGI, WSGI
from workshop.bench.advice import advice
from workshop.bench.figures import Results
from workshop.bench.workloads import WORKLOADS
from workshop.tests.servers import ROOT

PAGE = " ".join((ROOT / "docs/choosing-a-mode.md").read_text().split())
RESULTS = Results()
for cell in json.loads((ROOT / "workshop/bench/results/latest.json").read_text())["figures"]:
    for measured in cell["rounds"]:
        RESULTS.add(cell["side"], cell["workload"], measured)


def figure(side, workload, metric, worst=False):
    found = RESULTS.figure(side, workload, metric)
    return found.high if worst else found.median


def times(over, under):
    return RESULTS.ratio(over, under).median


def query(side, view="sync"):
    return f"{figure(side, f'query/{view}', 'rps'):,.0f}"


def memory(side):
    return f"{figure(side, 'query/sync', 'memory'):.0f} MB"


WAITING = [f"{figure(side, f'upstream/{view}', 'rps'):.0f}" for side, view in (("wsgi", "sync"), ("asgi", "async"))]
CPUS = 2
CLIENTS = next(workload.clients for workload in WORKLOADS if workload.name == "upstream/async")
AT_A_TIME = CPUS * WSGI.workers_per_cpu * WSGI.threads
ROOM = re.search(r"1 GB holds about ([\d,]+)", " ".join(advice(RESULTS)))[1]

HUB = f"{figure('asgi', 'hub', 'cpu'):.0f} µs of CPU each, 99 % within {figure('asgi', 'hub', 'p99'):.0f} ms"
PER_SOCKET = f"{figure('asgi-1', 'idle', 'per_socket'):.0f} KB"

# What the page says, with the figures as they were measured.
SAID = [
    f"| one query, sync view, requests per second | {query('wsgi')} | {query('asgi')} | {query('hybrid')} |",
    f"| one query, async view, requests per second | | {query('asgi', 'async')} | |",
    f"| waiting 0.1 s for another service, {CLIENTS} clients, requests per second | {WAITING[0]} | {WAITING[1]} | |",
    f"| CPU for a page that queries nothing | {figure('wsgi', 'plain/sync', 'cpu'):.0f} µs | "
    f"{figure('asgi', 'plain/async', 'cpu'):.0f} µs (async) | |",
    f"| memory of two workers | {memory('wsgi')} | {memory('asgi')} | {memory('hybrid')} |",
    f"| an idle WebSocket | | {PER_SOCKET}: 1 GB holds about {ROOM} | |",
    f"| a change to 1,000 open pages | | {HUB} | |",
    f"With 1, 2 or 4 workers, `wsgi` answers {query('wsgi-1')}, {query('wsgi')} or {query('wsgi-4')} requests per "
    f"second, `asgi` {query('asgi-1', 'async')}, {query('asgi', 'async')} or {query('asgi-4', 'async')}.",
    f"the factor of {times(('asgi', 'upstream/async', 'rps'), ('wsgi', 'upstream/sync', 'rps')):.1f} reflects",
    f"are answered within {figure('asgi', 'upstream-1000', 'seconds'):.2f} s",
    f"{query('asgi')} requests per second with a query, against {query('wsgi')}",
    f"{WAITING[1]} requests per second instead of {WAITING[0]} while each waits 0.1 s",
    f"reaches a thousand open pages within {figure('asgi', 'hub', 'p99'):.0f} ms",
    f"| {PER_SOCKET} for each idle WebSocket",
    # Not measured, but written in the code.
    f"one of the {AT_A_TIME} threads that two processors get",
    f"{CPUS * WSGI.workers_per_cpu} workers run {WSGI.threads} threads each, so the {AT_A_TIME + 1}th request waits",
    f"{ASGI.threads} for each worker",
    f"silent for {timeouts.NGINX_PROXY_READ} seconds (`proxy_read_timeout`)",
    f"live pages here do so every {timeouts.LIVE_HEARTBEAT} seconds",
    f"gives up after {timeouts.NGINX_PROXY_READ} seconds without",
    f"a running request has {timeouts.WORKER_SHUTDOWN} seconds to finish.",
    f"{AT_A_TIME} streams take all threads",
]


@pytest.mark.parametrize("sentence", SAID)
def test_a_figure_is_what_was_measured(sentence):
    assert sentence in PAGE


def test_no_figure_is_without_its_measurement():
    known = set(re.findall(r"\d[\d,.]*", " ".join(SAID)))
    # The memory of the machine, and an example of polling.
    given = {"23.6", "100"}
    units = "times|µs|KB|MB|GB|ms|s|requests|%"
    found = set(re.findall(rf"(?<![\w/-])(\d[\d,.]*) (?:{units})\b", PAGE))
    assert len(found) > 15
    assert found - known - given == set()


def test_every_case_of_the_table_has_a_mode_and_a_reason():
    table = (ROOT / "docs/choosing-a-mode.md").read_text().rpartition("## Cases")[2].strip()
    rows = [line.strip("|").split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 8
    assert all(len(row) == 3 and re.search(r"`(wsgi|asgi|hybrid)`", row[1]) and len(row[2]) > 30 for row in rows)
    # And nothing comes after it.
    assert table.splitlines()[-1].startswith("| ")
