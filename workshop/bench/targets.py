"""THE table of targets: the figures that the project holds itself to, on two cores, each with how it is measured."""

from collections.abc import Callable
from dataclasses import dataclass

from kit.serving import modes

from . import sides
from .figures import Figure, Results, summary

# The threads of a worker, and so the connections that it may have.
BOUND = modes.ASGI.threads
MOST_BACKENDS = sides.ASGI.workers * BOUND


@dataclass(frozen=True)
class Target:
    what: str
    unit: str
    """× is a ratio of two sides, taken round by round."""
    target: float
    at_least: bool
    """Or at most."""
    measure: Callable[[Results], Figure | None]

    def met(self, figure: Figure) -> bool:
        return figure.median >= self.target if self.at_least else figure.median <= self.target

    @property
    def wanted(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.target:g}{_with(self.unit)}"


def _with(unit: str) -> str:
    return unit if unit == "×" else f" {unit}"


def _ratio(metric: str, over: str, under: str, workload: str, under_workload: str = "") -> Callable:
    def measure(results: Results) -> Figure | None:
        return results.ratio((over, workload, metric), (under, under_workload or workload, metric))

    return measure


def _figure(metric: str, side: str, workload: str) -> Callable:
    return lambda results: results.figure(side, workload, metric)


def _rivals(metric: str, ours: Callable, over: list[tuple[str, str]], under: list[tuple[str, str]]) -> Callable:
    """The best of our cells (side, workload) by its median, divided by the best of the others; `ours` is min or max."""

    def best(results: Results, cells: list[tuple[str, str]]) -> tuple[str, str, str] | None:
        medians = {(*cell, metric): figure.median for cell in cells if (figure := results.figure(*cell, metric))}
        return ours(medians, key=medians.get, default=None)

    def measure(results: Results) -> Figure | None:
        first, second = best(results, over), best(results, under)
        return first and second and results.ratio(first, second)

    return measure


def _others(workload: str) -> list[tuple[str, str]]:
    """Every other ASGI server, before the same project."""
    return [
        (side.name, workload)
        for side in sides.SIDES
        if side.kind == "other" and side.interface == "asgi" and workload in side.quick
    ]


def _worst(metric: str, side: str, workload: str) -> Callable:
    """For what may never happen, the median would be too kind."""

    def measure(results: Results) -> Figure | None:
        figure = results.figure(side, workload, metric)
        return figure and Figure(figure.high, figure.low, figure.high)

    return measure


def _errors(side: str, *workloads: str) -> Callable:
    def measure(results: Results) -> Figure | None:
        values = [value for workload in workloads for value in results.values(side, workload, "errors")]
        figure = summary(values)
        return figure and Figure(figure.high, figure.low, figure.high)

    return measure


TARGETS = [
    Target("async view, CPU: stock Django ÷ asgi", "×", 6, True, _ratio("cpu", "stock", "asgi", "plain/async")),
    Target(
        "async view, requests per second: asgi ÷ stock", "×", 6, True, _ratio("rps", "asgi", "stock", "plain/async")
    ),
    Target("sync view, CPU: stock Django ÷ asgi", "×", 4, True, _ratio("cpu", "stock", "asgi", "plain/sync")),
    Target(
        "async view in asgi ÷ the same page in wsgi, CPU",
        "×",
        1.3,
        False,
        _ratio("cpu", "asgi", "wsgi", "plain/async", "plain/sync"),
    ),
    *(
        target
        for view in ("sync", "async")
        for target in (
            Target(
                f"one query, {view} view, requests per second: asgi ÷ stock",
                "×",
                5,
                True,
                _ratio("rps", "asgi", "stock", f"query/{view}"),
            ),
            Target(
                f"one query, {view} view in asgi ÷ the same page in wsgi, CPU",
                "×",
                1.6,
                False,
                _ratio("cpu", "asgi", "wsgi", f"query/{view}", "query/sync"),
            ),
            Target(
                f"500 clients, one query, {view} view: PostgreSQL backends, maximum",
                "",
                MOST_BACKENDS,
                False,
                _worst("backends", "asgi", f"crowd/{view}"),
            ),
        )
    ),
    Target("500 clients, one query: errors", "", 0, False, _errors("asgi", "crowd/sync", "crowd/async")),
    Target(
        "1,000 requests at once to a 1 s upstream: all answered",
        "s",
        1.6,
        False,
        _figure("seconds", "asgi", "upstream-1000"),
    ),
    Target("… errors", "", 0, False, _errors("asgi", "upstream-1000")),
    Target(
        "200 requests at once that query, wait 1 s, query, with 4 threads: all answered",
        "s",
        2,
        False,
        _figure("seconds", "asgi-bound", "mixed-200"),
    ),
    Target("… PostgreSQL backends, maximum", "", 8, False, _worst("backends", "asgi-bound", "mixed-200")),
    Target("… errors", "", 0, False, _errors("asgi-bound", "mixed-200")),
    Target(
        "1,000 WebSockets, CPU per delivery: Channels' group_send ÷ kit.live",
        "×",
        8,
        True,
        _ratio("cpu", "asgi", "asgi", "channels", "hub"),
    ),
    Target("1,000 WebSockets by kit.live, p99 of a delivery", "ms", 40, False, _figure("p99", "asgi", "hub")),
    Target("memory per idle WebSocket", "KB", 30, False, _figure("per_socket", "asgi-1", "idle")),
    Target("5,000 WebSockets held by one worker: errors", "", 0, False, _errors("asgi-1", "idle")),
    Target(
        "through Nginx, one query, requests per second: wsgi ÷ Gunicorn's defaults",
        "×",
        1.6,
        True,
        _ratio("rps", "nginx-wsgi", "nginx-gunicorn", "query/sync"),
    ),
    *(
        target
        for rival, label, cpu, rps in (("granian-wsgi", "Granian, wsgi", 1.15, 1), ("uwsgi", "uWSGI", 0.95, 1.05))
        for target in (
            Target(f"sync view, CPU: wsgi ÷ {label}", "×", cpu, False, _ratio("cpu", "wsgi", rival, "plain/sync")),
            Target(
                f"one query, sync view, requests per second: wsgi or asgi ÷ {label}",
                "×",
                rps,
                True,
                _rivals("rps", max, [("wsgi", "query/sync"), ("asgi", "query/sync")], [(rival, "query/sync")]),
            ),
        )
    ),
    Target(
        "async view, CPU: asgi ÷ the best of the other ASGI servers",
        "×",
        0.9,
        False,
        _rivals("cpu", min, [("asgi", "plain/async")], _others("plain/async")),
    ),
    Target(
        "one query, async view, requests per second: asgi ÷ the best of the other ASGI servers",
        "×",
        1.1,
        True,
        _rivals("rps", max, [("asgi", "query/async")], _others("query/async")),
    ),
    Target(
        "five queries, CPU: async view ÷ sync view, both in asgi",
        "×",
        1.15,
        False,
        _ratio("cpu", "asgi", "asgi", "queries/async", "queries/sync"),
    ),
]


def rows(results: Results) -> list[dict]:
    """Each target with what was measured, and whether it is met; None where nothing was."""
    found = []
    for target in TARGETS:
        figure = target.measure(results)
        found.append(
            {
                "what": target.what,
                "unit": target.unit,
                "target": target.wanted.strip(),
                "median": figure and figure.median,
                "low": figure and figure.low,
                "high": figure and figure.high,
                "met": None if figure is None else target.met(figure),
            }
        )
    return found
