import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from workshop.bench import advice, charts, install, load, measure, report, selection, sides, sockets, targets, workloads
from workshop.bench.figures import Figure, Results, summary
from workshop.tests.servers import ROOT

REPORT = """Running 2s test @ http://127.0.0.1:8000/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    51.02ms   10.11ms 130.00ms   85.00%
    Req/Sec   630.00     50.00   700.00     70.00%
  Latency Distribution
     50%   48.50ms
     75%  812.00us
     90%   60.00ms
     99%    1.23s 
  1250 requests in 2.01s, 1.10MB read
  Socket errors: connect 1, read 2, write 0, timeout 4
  Non-2xx or 3xx responses: 5
Requests/sec:    621.89
Transfer/sec:    560.00KB
"""  # noqa: W291  (wrk pads what it says in seconds)


def bench(path=os.environ["PATH"], **variables):
    return subprocess.run(
        [sys.executable, "-m", "workshop.bench"],
        cwd=ROOT,
        env={"PATH": str(path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def measured(rounds=3, **cells):
    """Results in which each cell, SIDE__WORKLOAD__VIEW, has these figures in every round."""
    results = Results()
    for name, figures in cells.items():
        side, workload = name.split("__", 1)
        for _ in range(rounds):
            results.add(side.replace("_", "-"), workload.replace("__", "/"), figures)
    return results


# --- Tables ---


def test_names_are_unique_and_speak_of_one_thing_each():
    names = [side.name for side in sides.SIDES] + [workload.name for workload in workloads.WORKLOADS]
    families = {name.partition("/")[0] for name in names}
    assert len(names) == len(set(names))
    assert not families & {workload.group for workload in workloads.WORKLOADS}


@pytest.mark.parametrize("side", sides.SIDES, ids=lambda side: side.name)
def test_a_side_can_do_what_a_default_run_asks_of_it(side):
    asked = [workloads.BY_NAME[name] for name in side.quick]
    assert asked
    assert [workload.name for workload in asked if not side.suits(workload)] == []
    side.command.format(port=1, workers=1, environment="")


def test_every_target_is_measured_in_a_default_run():
    results = Results()
    for name, asked in selection.select({}).cells.items():
        for workload in asked:
            results.add(name, workload.name, dict.fromkeys(report.METRICS, 1.0))
    assert [row["what"] for row in targets.rows(results) if row["met"] is None] == []


def test_the_workloads_are_those_of_the_lab():
    table = ROOT / "workshop" / "lab" / "workloads.py"
    # Read and not imported: the lab is no application of these settings.
    names = re.findall(r'Workload\("(\w+)"', table.read_text())
    addresses = {f"/lab/{name}/{kind}" for name in names for kind in ("sync", "async")}
    asked = {each.path.partition("?")[0] for each in workloads.WORKLOADS if each.view}
    assert asked <= addresses


def test_a_limit_serves_no_django_and_is_asked_for_nothing_but_a_few_bytes():
    limits = [side for side in sides.SIDES if side.kind == "limit"]
    assert [side.quick for side in limits] == [("plain/async",), ("plain/sync",)]


# --- What is asked for ---


def test_a_wrong_only_lists_what_there_is():
    done = bench(ONLY="asgi,nonsense")
    assert done.returncode == 1
    assert done.stderr.startswith("ONLY=nonsense is wrong. There are the sides wsgi, asgi, hybrid")
    assert "query" in done.stderr
    assert "sockets" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_combination_that_leaves_nothing_says_so():
    assert "leaves nothing" in bench(ONLY="wsgi,hub").stderr


@pytest.mark.parametrize("rounds", ["0", "many", "-1", "²"])
def test_wrong_rounds_are_one_sentence(rounds):
    done = bench(ROUNDS=rounds)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "expected a whole number" in done.stderr


def test_a_missing_wrk_is_one_sentence(tmp_path):
    done = bench(path=tmp_path)
    assert (done.returncode, done.stderr) == (1, f"{load.GET_WRK}\n")


@pytest.mark.parametrize(
    ("only", "cells"),
    [
        ("asgi,query", {"asgi": ["query/sync", "query/async"]}),
        ("stock,query/async", {"stock": ["query/async"]}),
        ("daphne", {"daphne": ["plain/async", "query/async"]}),
        ("idle", {"asgi-1": ["idle"]}),
        ("page/sync", {"wsgi": ["page/sync"], "asgi": ["page/sync"], "stock": ["page/sync"]}),
    ],
)
def test_only_takes_sides_and_workloads(only, cells):
    chosen = selection.select({"ONLY": only})
    assert {side: [workload.name for workload in asked] for side, asked in chosen.cells.items()} == cells


def test_a_full_run_asks_every_side_for_all_that_it_can_answer():
    chosen = selection.select({"FULL": "1"})
    assert len(chosen.cells) == len(sides.SIDES)
    assert len(chosen.cells["asgi"]) == len(workloads.WORKLOADS)


def test_what_only_leaves_does_not_replace_complete_results():
    assert selection.select({"ONLY": "asgi"}).partial
    assert not selection.select({"ROUNDS": "7"}).partial


# --- Measuring ---


def test_the_report_of_wrk_is_read():
    assert load.read_wrk(REPORT) == load.Outcome(requests=1250, seconds=2.01, p50=48.5, p99=1230, errors=12)


def test_percentiles_are_values_that_were_measured():
    values = [float(number) for number in range(100, 0, -1)]
    assert [load.percentile(values, 50), load.percentile(values, 99), load.percentile([7.0], 99)] == [50, 99, 7]


def test_frames_are_read_as_they_come_in():
    buffer = bytearray(b"\x81\x02hi" + b"\x81\x7e\x01\x00" + b"x" * 256 + b"\x89\x01p\x81\x05he")
    assert sockets.frames(buffer) == [(sockets.TEXT, b"hi"), (sockets.TEXT, b"x" * 256), (sockets.PING, b"p")]
    assert bytes(buffer) == b"\x81\x05he"


def test_the_cpu_time_of_a_tree_holds_that_of_children_which_have_ended():
    work = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(10_000_000))']); input()"
    with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while len(measure.tree([process.pid])) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        while len(measure.tree([process.pid])) > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert measure.cpu_seconds([process.pid]) > 0.05
        assert measure.memory([process.pid]) > 1_000_000
        process.communicate(b"\n")


def test_processes_are_read_where_there_is_no_proc():
    found = measure.from_ps("    1     0   1:02.34   2048\n   20     1 70:00:01 10\n")
    assert found == {1: measure.Process(0, 62.34, 2048 * 1024), 20: measure.Process(1, 252001, 10 * 1024)}


def test_what_must_be_compiled_is_installed_apart():
    easy, compiled = install.split((ROOT / "workshop/bench" / "requirements.txt").read_text())
    assert re.findall(r"^[a-z0-9-]+(?===)", compiled, re.MULTILINE) == ["uwsgi"]
    assert {"daphne", "granian", "hypercorn"} <= set(re.findall(r"^([a-z0-9-]+)==", easy, re.MULTILINE))


# --- Figures ---


def test_medians_come_with_their_spread():
    assert summary([3, 1, 50]) == Figure(3, 1, 50)
    assert summary([]) is None


def test_ratios_are_taken_round_by_round():
    results = Results()
    for slow, fast in [(10, 5), (100, 20), (30, 10)]:
        results.add("stock", "plain/async", {"cpu": slow})
        results.add("asgi", "plain/async", {"cpu": fast})
    assert results.ratio(("stock", "plain/async", "cpu"), ("asgi", "plain/async", "cpu")) == Figure(3, 2, 5)


def test_a_target_is_met_or_missed_or_not_measured():
    results = measured(asgi__plain__async={"cpu": 400.0, "rps": 100}, stock__plain__async={"cpu": 2000.0, "rps": 700})
    found = {row["what"]: row for row in targets.rows(results)}
    assert found["async view, CPU: stock Django ÷ asgi"]["median"] == 5
    assert found["async view, CPU: stock Django ÷ asgi"]["met"] is False
    assert found["memory per idle WebSocket"]["met"] is None


def test_the_best_of_ours_is_measured_against_the_best_of_the_others():
    results = measured(
        wsgi__query__sync={"rps": 300}, asgi__query__sync={"rps": 200}, granian_wsgi__query__sync={"rps": 150},
        asgi__plain__async={"cpu": 90}, uvicorn__plain__async={"cpu": 100}, daphne__plain__async={"cpu": 400},
    )  # fmt: skip
    found = {row["what"]: row["median"] for row in targets.rows(results)}
    assert found["one query, sync view, requests per second: wsgi or asgi ÷ Granian, wsgi"] == 2
    assert found["async view, CPU: asgi ÷ the best of the other ASGI servers"] == 0.9


def test_the_worst_round_counts_for_what_must_never_happen():
    results = Results()
    for errors in (0, 0, 3):
        results.add("asgi-1", "idle", {"errors": errors, "per_socket": 20})
    found = {row["what"]: row for row in targets.rows(results)}
    assert found["5,000 WebSockets held by one worker: errors"]["met"] is False
    assert found["memory per idle WebSocket"]["met"] is True


# --- Advice ---


def figures(rps, cpu=500.0):
    return {"rps": float(rps), "cpu": float(cpu)}


def test_advice_follows_the_faster_mode_for_pages():
    lines = advice.advice(measured(wsgi__query__sync=figures(2000), asgi__query__async=figures(1000)))
    assert "SERVER_MODE=wsgi with WEB_CONCURRENCY=2" in lines[0]
    assert "2.0 times" in lines[0]
    assert "hybrid" in lines[0]


def test_advice_is_one_mode_for_everything_where_asgi_keeps_up():
    lines = advice.advice(
        measured(
            wsgi__query__sync=figures(1000),
            asgi__query__async=figures(950),
            wsgi__upstream__sync=figures(80),
            asgi__upstream__async=figures(800),
        )
    )
    assert "SERVER_MODE=asgi" in lines[0]
    assert "10.0 times" in lines[0]
    assert any("the mode hardly matters" in line for line in lines)


def test_advice_takes_the_fewest_workers_that_come_near_the_most():
    few = sides.replace(sides.WSGI, name="wsgi-1", workers=1)
    many = sides.replace(sides.WSGI, name="wsgi-16", workers=16)
    results = measured(
        wsgi_1__query__sync=figures(500), wsgi__query__sync=figures(950), wsgi_16__query__sync=figures(1000)
    )
    assert advice.best(results, [few, sides.WSGI, many], "wsgi", "query").side is sides.WSGI


def test_advice_from_too_little_says_so():
    assert advice.advice(Results()) == ["Too little was measured for any advice: leave ONLY away."]


# --- Report ---


def test_a_chart_names_each_bar_with_its_value():
    text = charts.chart("Requests per second", [charts.Bar("asgi, async", 1694.2), charts.Bar("wsgi", 0.25)])
    assert 'x-axis ["asgi, async: 1,694", "wsgi: 0.25"]' in text
    assert "bar [1694, 0.25]" in text
    assert "y-axis 0 --> 1779" in text


def test_a_chart_of_nothing_but_zeros_has_an_axis():
    assert "y-axis 0 --> 1.05" in charts.chart("Errors", [charts.Bar("wsgi", 0)])


def test_a_side_that_did_not_start_is_a_row_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    results = measured(asgi__query__async={**dict.fromkeys(report.METRICS, 1.0)})
    results.failures["daphne", "query/async"] = "Address already in use"
    report.write(results, selection.select({"ONLY": "asgi,daphne,query/async"}), {"PostgreSQL": "18.6"})
    text = (tmp_path / "partial" / "README.md").read_text()
    assert "| Daphne (has one process) | – Address already in use |" in text
    assert "`make -C workshop bench ONLY=asgi,daphne,query/async`" in text
    assert json.loads((tmp_path / "partial" / "latest.json").read_text())["failures"][0]["side"] == "daphne"
    assert "xychart-beta" in text


# --- End ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interrupted_bench_leaves_no_process_behind(tmp_path, number):
    wrk = tmp_path / "wrk"
    wrk.write_text(f"#!/bin/sh\ntouch {tmp_path}/pressing\nexec sleep 60\n")
    wrk.chmod(0o755)
    running = subprocess.Popen(
        [sys.executable, "-m", "workshop.bench"],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "ONLY": "bare-wsgi"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "pressing").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        family = measure.tree([running.pid])
        # The bench, Gunicorn's master and its two workers, and the client.
        assert len(family) >= 5
        running.send_signal(number)
        _, said = running.communicate(timeout=30)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 130
    assert "everything that was started is stopped" in said
    assert family & set(measure.processes()) == set()
