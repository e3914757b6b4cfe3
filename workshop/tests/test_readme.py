"""README.md names commands that are there, and figures as they were measured."""

import re

import pytest

from workshop.tests.servers import ROOT

from .test_choosing_a_mode import RESULTS, figure

README = (ROOT / "README.md").read_text()


def targets():
    text = "".join(path.read_text() for path in [ROOT / "Makefile", *ROOT.glob("*.mk")])
    return " ".join(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)).split()


def test_every_command_of_the_readme_is_in_the_makefile():
    assert set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", README)) <= set(targets())


DRILLS = (ROOT / "workshop/README.md").read_text().partition("## Drills")[2]
MEASURED = {
    "one query through Nginx": (
        f"{figure('nginx-gunicorn', 'query/sync', 'rps'):.0f}", f"{figure('nginx-wsgi', 'query/sync', 'rps'):,.0f}"
    ),
    "an async page with one query": (
        f"{figure('stock', 'query/async', 'rps'):.0f}", f"{figure('asgi', 'query/async', 'rps'):,.0f}"
    ),
    "an async page without a query": (
        f"{figure('stock', 'plain/async', 'cpu'):,.0f} µs", f"{figure('asgi', 'plain/async', 'cpu'):.0f} µs"
    ),
    "with 500 clients": (
        f"{figure('stock', 'crowd/sync', 'backends', worst=True):.0f}",
        f"{figure('asgi', 'crowd/sync', 'backends', worst=True):.0f}",
    ),
    "to push a change": (
        f"{figure('asgi', 'channels', 'cpu'):.0f} µs", f"{figure('asgi', 'hub', 'cpu'):.0f} µs"
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", MEASURED)
def test_a_figure_of_the_readme_is_what_was_measured(row):
    (line,) = [line for line in README.splitlines() if line.startswith("|") and row in line]
    _, _, without, wisheasy, _ = line.split("|")
    assert (without.split(" (")[0].strip(), wisheasy.split(" (")[0].strip()) == MEASURED[row]
    assert sum(RESULTS.values("asgi", "crowd/sync", "errors")) == 0


def test_the_drills_of_the_readme_are_those_of_the_workshop():
    (line,) = [line for line in README.splitlines() if "failed requests in" in line]
    assert re.findall(r"\d[\d,]*", line)
    assert [number for number in re.findall(r"\d[\d,]+", line) if number not in DRILLS] == []
