"""docs/choosing-a-mode.md gives figures as reasons: each is one that bench/results/latest.json or the code has."""

import json
import re

import pytest
from django.conf import settings

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

# What the page says, with the figures as they were measured.
SAID = [
    f"`wsgi` {query('wsgi')} requests per second, `hybrid` {query('hybrid')}, `asgi` {query('asgi')} with a sync view "
    f"and {query('asgi', 'async')} with an async one; with Nginx in front, `wsgi` {query('nginx-wsgi')}",
    f"takes {figure('wsgi', 'plain/sync', 'cpu'):.0f} µs of CPU in `wsgi` and, as an async view, "
    f"{figure('asgi', 'plain/async', 'cpu'):.0f} µs in `asgi`",
    f"Two `wsgi` workers with their 8 threads answer {WAITING[0]} requests per second",
    f"with an async view answer {WAITING[1]}, "
    f"{times(('asgi', 'upstream/async', 'rps'), ('wsgi', 'upstream/sync', 'rps')):.1f} times as many: all {CLIENTS} "
    "clients wait at the same time",
    f"all answered within {figure('asgi', 'upstream-1000', 'seconds'):.2f} s",
    f"{times(('stock', 'plain/async', 'cpu'), ('asgi', 'plain/async', 'cpu')):.1f} times the CPU for the async page",
    f"{times(('asgi', 'query/async', 'rps'), ('stock', 'query/async', 'rps')):.1f} times fewer requests for the page",
    f"up to {figure('stock', 'crowd/sync', 'backends', worst=True):.0f} connections to PostgreSQL and, in "
    f"all rounds, {sum(RESULTS.values('stock', 'crowd/sync', 'errors')):.0f} errors",
    f"handler had {figure('asgi', 'crowd/sync', 'backends', worst=True):.0f} connections then, and no error",
    f"takes {figure('asgi-1', 'idle', 'per_socket'):.0f} KB, so 1 GB holds some {ROOM}",
    f"for {figure('asgi', 'hub', 'cpu'):.0f} µs of CPU each, 99 % of them within {figure('asgi', 'hub', 'p99'):.0f} ms",
    f"of `wsgi` {memory('wsgi')}, of `asgi` {memory('asgi')}, and `hybrid`, which has both, {memory('hybrid')}",
    f"{query('asgi')} or {query('asgi', 'async')} requests per second",
    *(
        f"| {workers} | {query(f'wsgi{which}')} | {query(f'asgi{which}', 'async')} |"
        for workers, which in ((1, "-1"), (2, ""), (4, "-4"))
    ),
    f"and it takes {figure('asgi', 'query/sync', 'memory') - figure('wsgi', 'query/sync', 'memory'):.0f} MB more",
    f"{query('wsgi')} requests per second with a query, `asgi` {query('asgi')}",
    f"`wsgi` answers {query('wsgi')} such queries in a second",
    f"({query('hybrid')} requests per second to {query('wsgi')})",
    f"`hybrid` takes {memory('hybrid')}, `asgi` {memory('asgi')}",
    f"{WAITING[1]} requests per second to {WAITING[0]} while each waits 0.1 s",
    f"1 GB holds some {ROOM} idle WebSockets at {figure('asgi-1', 'idle', 'per_socket'):.0f} KB",
    # Not measured, but written in the code.
    f"each processor of the server comes with {AT_A_TIME // CPUS} ",
    f"two processors come with {AT_A_TIME}",
    f"8 threads that wait 0.1 s answer {WAITING[0]} requests per second",
    f"make {CPUS * WSGI.workers_per_cpu} workers of {WSGI.threads} threads here",
    f"({ASGI.threads} for each worker here)",
    f"sent something at least every {timeouts.LIVE_HEARTBEAT} seconds",
    f"`proxy_read_timeout`, which is {timeouts.NGINX_PROXY_READ} seconds",
    f"the limit of {settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 2**20} MB",
    f"comment, at least every {timeouts.LIVE_HEARTBEAT} seconds while",
    f"gives up after {timeouts.NGINX_PROXY_READ} seconds without",
    f"go on for {timeouts.WORKER_SHUTDOWN} (",
    f"a thousand open pages within {figure('asgi', 'hub', 'p99'):.0f} ms, for {figure('asgi', 'hub', 'cpu'):.0f} µs",
    f"a quarter of the {AT_A_TIME} threads",
    f"in `wsgi` {AT_A_TIME} streams are all threads",
]


@pytest.mark.parametrize("sentence", SAID)
def test_a_figure_is_what_was_measured(sentence):
    assert sentence in PAGE


def test_no_figure_is_without_its_measurement():
    known = set(re.findall(r"\d[\d,.]*", " ".join(SAID)))
    # Where the measurement, or a sentence, begins: a wait of 0.1 s, 50 ms of computing.
    given = {"0.1", "50", "2"}
    units = "times|µs|KB|MB|GB|ms|s|requests|%"
    found = set(re.findall(rf"(?<![\w/-])(\d[\d,.]*) (?:{units})\b", PAGE))
    assert len(found) > 15
    assert found - known - given == set()


def test_every_case_of_the_table_has_a_mode_and_a_reason():
    table = (ROOT / "docs/choosing-a-mode.md").read_text().rpartition("## The answer")[2].strip()
    rows = [line.strip("|").split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 8
    assert all(len(row) == 3 and re.search(r"`(wsgi|asgi|hybrid)`", row[1]) and len(row[2]) > 30 for row in rows)
    # And nothing comes after it.
    assert table.splitlines()[-1].startswith("| ")
