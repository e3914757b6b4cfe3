"""METRICS=1, on real servers."""

import os
import signal
import time

import httpx
import pytest

from workshop.tests.servers import free_port, serve

SERVERS = {"wsgi": ("wsgi", {}), "asgi": ("asgi", {}), "stock": ("asgi", {"STOCK_ASGI": "1"})}


@pytest.fixture(params=SERVERS)
def measured(request, tmp_path):
    mode, variables = SERVERS[request.param]
    port = free_port()
    with serve(mode, tmp_path, METRICS="1", METRICS_PORT=str(port), **variables) as server:
        server.figures = f"http://127.0.0.1:{port}/metrics"
        yield server
    time.sleep(1.5)
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.figures)


def figures(server):
    lines = [line for line in httpx.get(server.figures).text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def pages(server):
    return sum(value for name, value in figures(server).items() if name.startswith("django_http_requests_total"))


def worker_of(server):
    """Its children, less the one that answers with the figures: it is the first."""
    with open(f"/proc/{server.pid}/task/{server.pid}/children") as file:
        return int(file.read().split()[-1])


def test_pages_are_counted_by_route_and_probes_and_files_are_not(measured):
    httpx.get(f"{measured.url}/accounts/sign-in?next=/secret")
    httpx.get(f"{measured.url}/no/such/page")
    httpx.get(f"{measured.url}/healthz/ready")
    httpx.get(f"{measured.url}/static/live/live.js")
    time.sleep(1.5)
    found = figures(measured)
    counted = {name: value for name, value in found.items() if name.startswith("django_http_requests_total")}
    assert counted == {
        'django_http_requests_total{method="GET",route="/accounts/sign-in",status="2xx"}': 1,
        'django_http_requests_total{method="GET",route="",status="4xx"}': 1,
    }
    assert found["serving_threads"] > 0
    assert found["serving_memory_bytes"] > 10_000_000
    assert found["django_http_requests_under_way"] == 0
    assert any(name.startswith("serving_info{") for name in found)


def test_a_worker_that_is_killed_leaves_its_sums(measured):
    httpx.get(f"{measured.url}/no/such/page")
    killed = worker_of(measured)
    os.kill(killed, signal.SIGKILL)
    for _ in range(100):
        try:
            if httpx.get(f"{measured.url}/no/such/page").status_code == 404 and worker_of(measured) != killed:
                break
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    found = figures(measured)
    assert pages(measured) >= 2
    assert found["serving_workers_started_total"] == 2
    assert found["django_http_requests_under_way"] == 0


def test_without_it_there_is_no_module_port_or_process(tmp_path):
    with serve("wsgi", tmp_path, METRICS_PORT=str(port := free_port())) as server:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/metrics")
        with open(f"/proc/{server.pid}/task/{server.pid}/children") as file:
            assert len(file.read().split()) == 1
        with open(f"/proc/{server.pid}/maps") as file:
            assert "figures-" not in file.read()
