"""What the figures of this run say about this machine, in plain words."""

from dataclasses import dataclass

from .figures import Results
from .sides import SIDES, Side

# Less than this share apart, two figures of a shared machine are the same.
SAME = 0.9


@dataclass(frozen=True)
class Best:
    side: Side
    workload: str
    rps: float
    cpu: float


def advice(results: Results, sides: list[Side] = SIDES) -> list[str]:
    """One sentence or two for each kind of work that was measured."""
    found = [
        *_pages(results, sides, "plain", "Pages without a query or a wait"),
        *_pages(results, sides, "query", "Pages that query the database"),
        *_pages(results, sides, "upstream", "Pages that wait for another service"),
        *_sockets(results),
    ]
    verdict = _verdict(results, sides)
    return ([verdict] if verdict else []) + found or ["Too little was measured for any advice: leave ONLY away."]


def best(results: Results, sides: list[Side], mode: str, family: str) -> Best | None:
    """The fewest workers of `mode` that come near the most requests per second of all that were measured."""
    measured = []
    for side in sides:
        if side.name != mode and not (side.name.startswith(f"{mode}-") and side.is_a_count):
            continue
        for view in ("sync", "async"):
            workload = f"{family}/{view}"
            rps, cpu = (results.figure(side.name, workload, metric) for metric in ("rps", "cpu"))
            if rps and cpu:
                measured.append(Best(side, workload, rps.median, cpu.median))
    if not measured:
        return None
    most = max(each.rps for each in measured)
    near = [each for each in measured if each.rps >= most * SAME]
    fewest = min(each.side.workers for each in near)
    return max((each for each in near if each.side.workers == fewest), key=lambda each: each.rps)


def _pages(results: Results, sides: list[Side], family: str, what: str) -> list[str]:
    rivals = [rival for mode in ("wsgi", "asgi") if (rival := best(results, sides, mode, family))]
    if not rivals:
        return []
    rivals.sort(key=lambda rival: rival.rps, reverse=True)
    first = rivals[0]
    sentence = f"{what}: {_way(first)} gave the most, {first.rps:,.0f} requests per second at {_cost(first)} each."
    if len(rivals) == 1:
        return [sentence]
    second = rivals[1]
    if second.rps >= first.rps * SAME:
        lead = f"{what}: the mode hardly matters. {_way(first)} gave {first.rps:,.0f} requests per second at"
        return [f"{lead} {_cost(first)} each, {_way(second)} {second.rps:,.0f} at {_cost(second)}."]
    times = f"{first.rps / second.rps:.1f} times"
    return [f"{sentence} That is {times} what {_way(second)} gave ({second.rps:,.0f}, at {_cost(second)} each)."]


def _sockets(results: Results) -> list[str]:
    found = []
    if hub := results.figure("asgi", "hub", "cpu"):
        p99 = results.figure("asgi", "hub", "p99")
        found.append(
            f"WebSockets: a change costs {hub.median:.0f} µs of CPU for each page it reaches, so one core can reach "
            f"about {_rough(1e6 / hub.median)} pages a second; 99 % of 1,000 pages had it within {p99.median:.0f} ms."
        )
    if idle := results.figure("asgi-1", "idle", "per_socket"):
        room = _rough(2**20 / idle.median)
        found.append(f"An idle WebSocket takes {idle.median:.0f} KB: 1 GB holds about {room}.")
    return found


def _verdict(results: Results, sides: list[Side]) -> str | None:
    """Which mode for the whole: by the pages, and whether waiting is where asgi wins."""
    pairs = {}
    for family in ("query", "upstream"):
        wsgi, asgi = (best(results, sides, mode, family) for mode in ("wsgi", "asgi"))
        if wsgi and asgi:
            pairs[family] = (wsgi, asgi)
    if "query" not in pairs:
        return None
    wsgi, asgi = pairs["query"]
    if asgi.rps >= wsgi.rps * SAME:
        sentence = (
            f"On this machine, use SERVER_MODE=asgi with WEB_CONCURRENCY={asgi.side.workers} for everything: it serves "
            f"{asgi.rps / wsgi.rps:.2f} times the requests of wsgi, and live pages too."
        )
    else:
        sentence = (
            f"On this machine: SERVER_MODE=wsgi with WEB_CONCURRENCY={wsgi.side.workers} for pages: those that ask"
        )
        sentence += (
            f" the database get {wsgi.rps / asgi.rps:.1f} times the requests of asgi. Take hybrid where pages are to"
        )
        sentence += " be live over WebSockets."
    if "upstream" in pairs:
        wsgi, asgi = pairs["upstream"]
        if asgi.rps > wsgi.rps / SAME:
            sentence += (
                f" Where most pages wait for other services, asgi serves {asgi.rps / wsgi.rps:.1f} times the requests."
            )
    return sentence


def _way(rival: Best) -> str:
    mode = rival.side.variables["SERVER_MODE"]
    view = rival.workload.rpartition("/")[2]
    workers = f"{rival.side.workers} worker{'s' if rival.side.workers > 1 else ''}"
    return f"{mode} with {workers}" + (f" ({view} view)" if mode == "asgi" else "")


def _rough(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.0f}"


def _cost(rival: Best) -> str:
    return f"{rival.cpu:,.0f} µs of CPU"
