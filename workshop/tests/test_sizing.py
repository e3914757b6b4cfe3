"""deploy/sizing.md tells what python -m workshop.bench.sizing has measured."""

import json

import pytest

from workshop.tests.servers import ROOT

PAGE = " ".join((ROOT / "deploy/sizing.md").read_text().split())
MEASURED = json.loads((ROOT / "workshop/bench/results/sizing.json").read_text())
TWO, TWO_ASGI = MEASURED["wsgi, 2"], MEASURED["asgi, 2"]
QUERIES, CHANGES = TWO["PostgreSQL, µs a request"], TWO_ASGI["PostgreSQL, µs a change"]
REQUEST, DELIVERY = "web, µs a request", "web, µs a delivery"


def row(count):
    wsgi, asgi = MEASURED[f"wsgi, {count}"], MEASURED[f"asgi, {count}"]
    return (
        f"| {count} | {wsgi['requests a second']:,.0f} | {asgi['requests a second']:,.0f} | {asgi['p99, ms']:.0f} ms |"
    )


@pytest.mark.parametrize(
    "said",
    [
        *map(row, (1, 2, 3)),
        f"{TWO[REQUEST]:.0f} µs (`wsgi`), {TWO_ASGI[REQUEST]:.0f} µs (`asgi`) | | {TWO_ASGI[DELIVERY]:.0f} µs |",
        f"| PostgreSQL | {QUERIES:.0f} µs | {CHANGES / 1000:.1f} ms | |",
        f"| Redis | | {TWO_ASGI['Redis, µs a change'] / 1000:.1f} ms | |",
        f"keeps up with about {TWO[REQUEST] / QUERIES:.0f} for the servers",
        f"takes {TWO_ASGI[DELIVERY] / 10:.1f} % of a processor",
    ],
)
def test_the_page_on_sizing_says_what_was_measured(said):
    assert said in PAGE
