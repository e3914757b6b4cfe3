"""THE table: everything that differs between the modes is decided here, and nothing else asks which mode it is.

`SERVER_MODE` names a row of MODES. A row says which server answers each of the two upstreams Nginx knows:
`pages` (everything) and `live` (/live/). Where both name the same server, one process answers both.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from . import cgroup

# Resident memory to reckon with for one worker, in bytes: measured about 90 MB, and room for what users add.
WORKER_MEMORY = 160 * 1024 * 1024


def workers_that_fit() -> int:
    """How many the memory of this container suffices for."""
    return max(1, cgroup.memory() // WORKER_MEMORY)


@dataclass(frozen=True)
class Server:
    """How one kind of process runs."""

    interface: str
    """How it is called in writing."""
    application_setting: str
    """The setting that names what Gunicorn loads."""
    worker_class: str
    workers_per_cpu: int
    threads: int
    """Threads of one worker, and the most connections to PostgreSQL that it opens. Under WSGI they serve requests;
    under ASGI they do the sync work of requests, a call at a time (threads.py)."""
    static_middleware: tuple[str, ...]
    """Serves static files where no Nginx does. ASGI has none: asgi.py does it outside the middleware, because
    WhiteNoise's is sync-only and would hold a thread for the whole of every request."""
    live_transports: tuple[str, ...]
    """What kit.live can offer here, best first."""

    @property
    def gunicorn_worker_class(self) -> str:
        """A threaded worker with one thread is only a slower "sync" one."""
        return "sync" if (self.interface, self.threads) == ("WSGI", 1) else self.worker_class

    def workers(self, shared_layer: bool) -> int:
        """How many workers suit the CPUs and the memory of this container.

        Without a channel layer that processes share (Redis) there is one, or a change made in one worker would not
        be pushed to the pages that hang on another.
        """
        if not shared_layer:
            return 1
        by_cpu = math.ceil(cgroup.cpus() * self.workers_per_cpu)
        return max(1, min(by_cpu, workers_that_fit()))

    def database(self, address: dict[str, Any], stock: bool) -> dict[str, Any]:
        """The entry of DATABASES for what DATABASE_URL said, with how its connections are kept.

        `stock`: under Django's own ASGI handler.
        """
        database = {**address, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
        djangos_own = stock and self.interface == "ASGI"
        if djangos_own:
            # It makes a thread for each request: a connection that a thread kept would never be found again.
            database["CONN_MAX_AGE"] = 0
        if address["ENGINE"].endswith(("sqlite3", "spatialite")):
            # Writers wait for each other from the first statement on, instead of failing half-way ("database is
            # locked"), and never make a reader wait (WAL).
            options = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL", "timeout": 20}
        else:
            options = {"connect_timeout": 5}
            if djangos_own:
                # Nothing else would bound their number.
                options["pool"] = {"min_size": 1, "max_size": self.threads, "timeout": 10}
        # What the address says counts.
        options |= address.get("OPTIONS", {})
        return {**database, "OPTIONS": options}


WSGI = Server(
    interface="WSGI",
    application_setting="WSGI_APPLICATION",
    worker_class="kit.serving.succession.ThreadedWorker",
    workers_per_cpu=2,
    threads=4,
    static_middleware=("whitenoise.middleware.WhiteNoiseMiddleware",),
    live_transports=("polling",),
)
ASGI = Server(
    interface="ASGI",
    application_setting="ASGI_APPLICATION",
    worker_class="kit.serving.worker.Worker",
    workers_per_cpu=1,
    threads=8,
    static_middleware=(),
    live_transports=("websocket", "events", "polling"),
)


@dataclass(frozen=True)
class Mode:
    pages: Server
    live: Server

    def with_threads(self, threads: int | None) -> "Mode":
        """The same mode with another number of threads in each worker, if there is one."""
        if threads is None:
            return self
        return Mode(replace(self.pages, threads=threads), replace(self.live, threads=threads))

    def servers(self) -> set[Server]:
        """The kinds of process that serve this mode."""
        return {self.pages, self.live}


MODES = {
    "wsgi": Mode(pages=WSGI, live=WSGI),
    "asgi": Mode(pages=ASGI, live=ASGI),
    "hybrid": Mode(pages=WSGI, live=ASGI),
}
# What SERVER_ROLE says: which of the two this process is.
ROLES = ("pages", "live")
