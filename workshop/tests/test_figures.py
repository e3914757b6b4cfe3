"""METRICS=1, on real servers."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import yaml

from workshop.tests.servers import ROOT, free_port, serve
from workshop.tests.test_docker_scripts import needs_compose

PAGE = ROOT / "docs/recipes/metrics.md"
SERVERS = {
    "wsgi": ("wsgi", {}),
    "asgi": ("asgi", {}),
    "stock": ("asgi", {"STOCK_ASGI": "1"}),
    "sync": ("wsgi", {"WEB_THREADS": "1"}),
}


@pytest.fixture(params=SERVERS)
def measured(request, tmp_path):
    mode, variables = SERVERS[request.param]
    port = free_port()
    with serve(mode, tmp_path, METRICS="1", METRICS_PORT=str(port), **variables) as server:
        server.figures = f"http://127.0.0.1:{port}/metrics"
        eventually(lambda: figures(server))
        yield server
    eventually(lambda: not figures(server))


def eventually(condition, seconds=15):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return value


def figures(server):
    try:
        text = httpx.get(server.figures, timeout=30).text
    except httpx.TransportError:
        return {}
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def pages(server):
    return sum(value for name, value in figures(server).items() if name.startswith("django_http_requests_total"))


def worker_of(server):
    """The first child is the one that sees to the figures."""
    return children(server.pid)[-1]


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(number) for number in file.read().split()]


def test_pages_are_counted_by_route_and_probes_and_files_are_not(measured):
    httpx.get(f"{measured.url}/accounts/login/?next=/secret")
    httpx.get(f"{measured.url}/no/such/page")
    httpx.get(f"{measured.url}/healthz/ready")
    httpx.get(f"{measured.url}/static/live/live.js")
    found = eventually(lambda: (now := figures(measured)).get("serving_memory_bytes") and now)
    counted = {name: value for name, value in found.items() if name.startswith("django_http_requests_total")}
    assert counted == {
        'django_http_requests_total{method="GET",route="/accounts/login/",status="2xx"}': 1,
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

    def answers():
        try:
            return httpx.get(f"{measured.url}/no/such/page").status_code == 404 and worker_of(measured) != killed
        except httpx.TransportError:
            return False

    eventually(answers)
    found = eventually(lambda: pages(measured) >= 2 and figures(measured))
    assert found["serving_workers_started_total"] == 2
    assert found["django_http_requests_under_way"] == 0


def test_each_figure_of_the_board_exists(tmp_path):
    board = json.loads((ROOT / "docs/recipes/metrics/board.json").read_text())
    text = " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    # And that of the alerts.
    text += " ".join(re.findall("`([^`]+)`", PAGE.read_text().rpartition("An alert")[2]))
    wanted = set(re.findall(r"(?:django|serving|live|jobs)(?:_[a-z_]+)?", text))
    port = free_port()
    with serve("asgi", tmp_path, METRICS="1", METRICS_PORT=str(port)) as server:
        server.figures = f"http://127.0.0.1:{port}/metrics"
        httpx.get(f"{server.url}/no/such/page")
        found = eventually(lambda: pages(server) and figures(server))
    # PostgreSQL's: tests/stack/test_product.py.
    assert wanted - {name.partition("{")[0] for name in found} == {"serving_database_connections"}


@needs_compose
def test_what_the_page_starts_is_closed_reads_the_servers_and_is_published_to_this_machine_alone(tmp_path):
    (tmp_path / "override.yml").write_text(re.search(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.M | re.S)[1])
    files = ["--file", "docker-compose.yml", "--file", str(tmp_path / "override.yml")]
    command = ["docker", "compose", "--project-directory", str(ROOT), *files, "--profile", "*", "config"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SERVER_MODE": "asgi"}
    done = subprocess.run(
        [*command, "--format", "json"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    config = json.loads(done.stdout)
    services, networks = config["services"], config["networks"]
    for name in ("prometheus", "grafana"):
        service = services[name]
        for limit in ("read_only", "cap_drop", "security_opt", "restart", "logging"):
            assert service[limit] == services["web-blue"][limit]
        assert service["mem_limit"] == service["memswap_limit"]
        binds = [volume["source"] for volume in service["volumes"] if volume["type"] == "bind"]
        assert binds
        assert all(Path(source).is_file() for source in binds)
    assert "ports" not in services["prometheus"]
    assert [port["host_ip"] for port in services["grafana"]["ports"]] == ["127.0.0.1"]
    # Prometheus has no way out, and the servers' port no way in.
    assert [networks[name]["internal"] for name in services["prometheus"]["networks"]] == [True]
    (scraped,) = yaml.safe_load((PAGE.parent / "metrics/prometheus.yml").read_text())["scrape_configs"]
    (found,) = scraped["dns_sd_configs"]
    assert set(found["names"]) == {name for name in services if name.startswith(("web-", "live-"))}
    assert str(found["port"]) == services["web-blue"]["environment"]["METRICS_PORT"]
    (source,) = yaml.safe_load((PAGE.parent / "metrics/datasource.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"


OWN = """
from prometheus_client import Counter
from workshop.probe.urls import handler400, handler404, path, urlpatterns
from django.http import HttpResponse

SOLD = Counter("shop_sold", "Sold.")


def sell(request):
    SOLD.inc()
    return HttpResponse()


urlpatterns = [path("sell", sell), *urlpatterns]
"""


@pytest.mark.parametrize("on", ["0", "1"])
def test_a_counter_of_your_own_counts_beside_them_and_harms_nothing_where_they_are_off(tmp_path, on):
    (tmp_path / "own_settings.py").write_text("from workshop.probe.settings import *\nROOT_URLCONF = 'own_urls'\n")
    (tmp_path / "own_urls.py").write_text(OWN)
    port = free_port()
    variables = {"DJANGO_SETTINGS_MODULE": "own_settings", "PYTHONPATH": f"{tmp_path}:{ROOT}", "METRICS": on}
    with serve("wsgi", tmp_path, METRICS_PORT=str(port), **variables) as server:
        server.figures = f"http://127.0.0.1:{port}/metrics"
        assert httpx.get(f"{server.url}/sell", timeout=30).status_code == 200
        if on == "1":
            assert eventually(lambda: figures(server))["shop_sold_total"] == 1


def test_the_process_that_answers_is_started_again(tmp_path):
    port = free_port()
    with serve("wsgi", tmp_path, METRICS="1", METRICS_PORT=str(port)) as server:
        server.figures = f"http://127.0.0.1:{port}/metrics"
        eventually(lambda: figures(server))
        sees_to_it = children(server.pid)[0]
        [answering] = children(sees_to_it)
        os.kill(answering, signal.SIGKILL)
        eventually(lambda: children(sees_to_it) not in ([], [answering]) and figures(server))
        assert "was killed by a signal, and is replaced" in server.log.read_text()


def test_without_it_there_is_no_module_port_or_process(tmp_path):
    with serve("wsgi", tmp_path, METRICS_PORT=str(port := free_port())) as server:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert len(children(server.pid)) == 1
        with open(f"/proc/{server.pid}/maps") as file:
            assert "figures-" not in file.read()
