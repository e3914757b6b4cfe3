"""THE table: it decides everything that differs between the modes. Nothing else asks which mode it is.

`SERVER_MODE` names a row of MODES. A row sets the server for each of Nginx's two upstreams: `pages` (everything) and
`live` (/live/). If both are the same server, one process answers both.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from . import cgroup

# Resident memory to expect of one worker, in bytes: about 90 MB as measured, plus room for your code.
WORKER_MEMORY = 160 * 1024 * 1024


def workers_that_fit() -> int:
    """The number of workers that fit into this container's memory."""
    return max(1, cgroup.memory() // WORKER_MEMORY)


@dataclass(frozen=True)
class Server:
    """Configuration of one kind of process."""

    interface: str
    """The interface's name for display."""
    application_setting: str
    """The Django setting that names the application for Gunicorn."""
    worker_class: str
    workers_per_cpu: int
    threads: int
    """Threads of one worker, and the most PostgreSQL connections that it opens. Under WSGI they serve requests; under
    ASGI they run the sync work of requests, one call at a time (threads.py)."""
    static_middleware: tuple[str, ...]
    """Serves static files where no Nginx does. Empty for ASGI: asgi.py serves them outside the middleware, because
    WhiteNoise's is sync-only and would hold a thread for the whole of every request."""
    live_transports: tuple[str, ...]
    """The transports that kit.live offers here, best first."""

    @property
    def gunicorn_worker_class(self) -> str:
        """With a single thread, "sync" is faster than the threaded worker."""
        return "sync" if (self.interface, self.threads) == ("WSGI", 1) else self.worker_class

    def workers(self, shared_layer: bool) -> int:
        """The number of workers for the CPUs and memory of this container.

        Only one without a channel layer that processes share (Redis): a change made in one worker would not be pushed
        to pages connected to another.
        """
        if not shared_layer:
            return 1
        by_cpu = math.ceil(cgroup.cpus() * self.workers_per_cpu)
        return max(1, min(by_cpu, workers_that_fit()))

    def database(self, address: dict[str, Any], stock: bool) -> dict[str, Any]:
        """The DATABASES entry for a parsed DATABASE_URL, with the handling of its connections.

        `stock`: Django's own ASGI handler serves.
        """
        database = {**address, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
        djangos_own = stock and self.interface == "ASGI"
        if djangos_own:
            # It creates a thread per request, so a connection kept by a thread would never be used again.
            database["CONN_MAX_AGE"] = 0
        if address["ENGINE"].endswith(("sqlite3", "spatialite")):
            # With IMMEDIATE, writers wait for each other from the first statement, instead of failing half-way
            # ("database is locked"). With WAL, they never block readers.
            options = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL", "timeout": 20}
        else:
            options = {"connect_timeout": 5}
            if djangos_own:
                # Nothing else would limit the connections.
                options["pool"] = {"min_size": 1, "max_size": self.threads, "timeout": 10}
        # Options in the URL take precedence.
        options |= address.get("OPTIONS", {})
        return {**database, "OPTIONS": options}


WSGI = Server(
    interface="WSGI",
    application_setting="WSGI_APPLICATION",
    worker_class="kit.serving.wsgi_worker.Worker",
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
        """The same mode with this number of threads per worker, if given."""
        if threads is None:
            return self
        return Mode(replace(self.pages, threads=threads), replace(self.live, threads=threads))

    def servers(self) -> set[Server]:
        """The kinds of processes that serve this mode."""
        return {self.pages, self.live}


MODES = {
    "wsgi": Mode(pages=WSGI, live=WSGI),
    "asgi": Mode(pages=ASGI, live=ASGI),
    "hybrid": Mode(pages=WSGI, live=ASGI),
}
# The values of SERVER_ROLE: which of the two this process is.
ROLES = ("pages", "live")
