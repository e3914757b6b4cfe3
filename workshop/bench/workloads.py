"""THE table of workloads: what a server is asked to do, and with how many clients at once."""

from dataclasses import dataclass

# Seconds that wrk presses on one address: in a default run, which has to end within 15 minutes, and with FULL=1.
SECONDS = {False: 2, True: 5}


@dataclass(frozen=True)
class Workload:
    name: str
    about: str
    path: str
    group: str
    """The name under which ONLY takes it together with its like."""
    client: str = "wrk"
    """Who drives it: wrk, burst (all at once, one request each), broadcast, or idle (WebSockets that are only held)."""
    clients: int = 32

    @property
    def view(self) -> str:
        """Sync or async, the kind of view; empty for what is no view."""
        return self.path.partition("?")[0].rpartition("/")[2] if self.path.startswith("/lab/") else ""


def _both(name: str, about: str, query: str = "", clients: int = 32) -> list[Workload]:
    """A page of workshop/lab has a sync and an async view."""
    return [
        Workload(f"{name}/{view}", f"{about}, {view} view", f"/lab/{name}/{view}{query}", "pages", clients=clients)
        for view in ("sync", "async")
    ]


# What leaves a server in a bad state, when it is not up to it, comes last.
WORKLOADS = [
    *_both("plain", "a few bytes through all middleware"),
    *_both("page", "a template"),
    *_both("query", "one query"),
    *_both("queries", "five queries"),
    *_both("upstream", "waits 0.1 s for another service", "?seconds=0.1", clients=64),
    *_both("fanout", "asks ten slow services"),
    *_both("mixed", "queries, waits 0.1 s, queries again", "?seconds=0.1", clients=64),
    *_both("cpu", "computes"),
    *_both("stream", "a streamed answer"),
    *_both("download", "a large download", clients=8),
    Workload("idle", "5,000 idle WebSockets", "/live/lab/ws", "sockets", "idle", 5000),
    Workload("hub", "1,000 WebSockets, changes sent by kit.live", "/live/lab/ws", "sockets", "broadcast", 1000),
    Workload(
        "channels",
        "1,000 WebSockets, changes sent by Channels' group_send",
        "/live/lab/channels",
        "sockets",
        "broadcast",
        1000,
    ),
    Workload(
        "upstream-1000",
        "1,000 requests at once that wait 1 s",
        "/lab/upstream/async?seconds=1",
        "crowds",
        "burst",
        1000,
    ),
    Workload(
        "mixed-200",
        "200 requests at once that query, wait 1 s, query",
        "/lab/mixed/async?seconds=1",
        "crowds",
        "burst",
        200,
    ),
    Workload("crowd/sync", "one query, 500 clients, sync view", "/lab/query/sync", "crowds", clients=500),
    Workload("crowd/async", "one query, 500 clients, async view", "/lab/query/async", "crowds", clients=500),
]
BY_NAME = {workload.name: workload for workload in WORKLOADS}
