"""Metrics for Prometheus. Imported only with METRICS=1.

Each worker writes its metrics to files in a memory-backed folder. A process beside the workers, forked from Gunicorn's
master, sums them for each scrape. Files are named by the worker's place, not its process: its successor continues
them, so the number of files is bounded and sums never fall.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from django.conf import settings

SECONDS_BETWEEN_SAMPLES = 1
_place = "master"

# Set before prometheus_client is imported, which reads it.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    _memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  (the folder, not a file of ours)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="figures-", dir=_memory)
FOLDER = os.environ["PROMETHEUS_MULTIPROC_DIR"]

from prometheus_client import (  # noqa: E402, I001
    CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app, multiprocess, values,
)  # fmt: skip
from prometheus_client.core import GaugeMetricFamily  # noqa: E402

values.ValueClass = values.MultiProcessValue(lambda: _place)

REQUESTS = Counter("django_http_requests", "Requests that Django answered.", ["method", "status", "route"])
SECONDS = Histogram("django_http_request_seconds", "Time until the response, or until a stream begins.", ["route"])
UNDER_WAY = Gauge("django_http_requests_under_way", "Requests being answered.", multiprocess_mode="livesum")
THREADS = Gauge("serving_threads", "Threads that the workers may use.", multiprocess_mode="livesum")
THREADS_IN_USE = Gauge("serving_threads_in_use", "Threads that are busy.", multiprocess_mode="livesum")
READERS = Gauge("live_readers", "Open live pages.", multiprocess_mode="livesum")
MEMORY = Gauge("serving_memory_bytes", "Resident memory of the workers.", multiprocess_mode="livesum")
CPU = Counter("serving_cpu_seconds", "CPU time of the workers.")
STARTS = Counter("serving_workers_started", "Workers started, those that replace another included.")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

# --- In the workers ---


def counted(get_response):
    """Wrap the `get_response` of an outermost middleware to count pages; sync or async like the original."""

    def begin():
        UNDER_WAY.inc()
        return time.perf_counter()

    def end(request, response, began):
        UNDER_WAY.dec()
        if response is None or request.path_info.startswith(settings.STATIC_URL):
            return
        # The pattern, not the path, to bound the number of labels.
        match = getattr(request, "resolver_match", None)
        route = f"/{match.route}" if match else ""
        method = request.method if request.method in METHODS else "other"
        REQUESTS.labels(method, f"{response.status_code // 100}xx", route).inc()
        SECONDS.labels(route).observe(time.perf_counter() - began)

    def sync(request):
        began, response = begin(), None
        try:
            response = get_response(request)
        finally:
            end(request, response, began)
        return response

    async def coroutine(request):
        began, response = begin(), None
        try:
            response = await get_response(request)
        finally:
            end(request, response, began)
        return response

    from asgiref.sync import iscoroutinefunction

    return coroutine if iscoroutinefunction(get_response) else sync


_sampled = _cpu = 0.0


def sample():
    """Record what changes outside requests, or with too many of them. Workers call it continuously."""
    global _sampled, _cpu  # noqa: PLW0603  (of this process, as the samples are)
    now = time.monotonic()
    if now - _sampled < SECONDS_BETWEEN_SAMPLES:
        return
    _sampled = now
    cpu = time.process_time()
    CPU.inc(cpu - _cpu)
    _cpu = cpu
    THREADS.set(settings.THREADS)
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            MEMORY.set(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    if settings.SERVER_INTERFACE == "WSGI":
        THREADS_IN_USE.set(UNDER_WAY._value.get())
        return
    from kit.live import hub
    from kit.serving import asgi

    if asgi._threads:
        THREADS_IN_USE.set(asgi._threads.started - len(asgi._threads.idle))
    READERS.set(hub.readers())


# --- In Gunicorn's master ---


def take_place(server, worker):
    """Called before a worker is forked."""
    taken = {other.place for other in server.WORKERS.values() if hasattr(other, "place")}
    worker.place = next(place for place in range(len(taken) + 1) if place not in taken)
    multiprocess.mark_process_dead(worker.place)
    STARTS.inc()


def begin_worker(worker):
    """Called in the worker after the fork."""
    global _place, _cpu
    _place, _cpu = worker.place, time.process_time()
    if settings.WORKER_CLASS == "sync":
        # Gunicorn's own worker, which has no tick.
        notify = worker.notify
        worker.notify = lambda: (notify(), sample())


def end_worker(worker):
    """Called when a worker has ended, for whatever reason."""
    multiprocess.mark_process_dead(worker.place)


class _Server(WSGIServer):
    def service_actions(self):
        if os.getppid() != self.parent:
            sys.exit()


class _Quiet(WSGIRequestHandler):
    timeout = 5

    def log_message(self, *arguments):
        pass


def serve(log) -> None:
    """Fork a process that keeps the metrics server running, before Gunicorn opens sockets, which both would keep open.
    Both end with the master."""
    master = os.getpid()
    if os.fork():
        return
    try:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        answering = None
        while os.getppid() == master:
            if not answering and not (answering := os.fork()):
                _answer(log)
            ended, status = os.waitpid(answering, os.WNOHANG)
            if ended and not os.WIFSIGNALED(status):
                break
            if ended:
                log.error("The process that answers Prometheus was killed by a signal, and is replaced.")
                answering = None
            time.sleep(0.5)
    finally:
        # Nothing else removes the folder once the master is gone.
        if os.getppid() != master:
            shutil.rmtree(FOLDER, ignore_errors=True)
        os._exit(0)


def _answer(log):
    try:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=FOLDER)
        registry.register(Asked())
        address = "0.0.0.0" if settings.SLOT else "127.0.0.1"  # noqa: S104  (the container publishes no port)
        parent = os.getppid()
        with _listen(address, log) as server:
            server.parent = parent
            server.set_app(make_wsgi_app(registry))
            server.serve_forever()
    finally:
        os._exit(0)


def _listen(address, log):
    # The port of a server that just stopped is free within a second.
    for attempt in range(4):
        try:
            return _Server((address, settings.METRICS_PORT), _Quiet)
        except OSError as error:
            if attempt == 3:
                log.error("METRICS_PORT=%s can't be opened: %s. No metrics.", settings.METRICS_PORT, error.strerror)
                raise
            time.sleep(0.5)


class Asked:
    """Collected per scrape: the servers' mode and version, the database's connections, and the job queue."""

    def describe(self) -> Iterable:
        return []

    def collect(self):
        labels = {
            "revision": settings.REVISION or "unknown", "mode": settings.SERVER_MODE,
            "role": settings.SERVER_ROLE, "slot": settings.SLOT or "",
        }  # fmt: skip
        info = GaugeMetricFamily("serving_info", "The version and mode that serve.", labels=list(labels))
        info.add_metric(list(labels.values()), 1)
        yield info
        yield GaugeMetricFamily(
            "serving_database_connections_bound", "The most that all servers may open.", settings.DATABASE_CONNECTIONS
        )
        if settings.SERVER_ROLE == "pages":
            yield from _of_the_database()


def _of_the_database():
    from django.apps import apps
    from django.db import DatabaseError, connection

    try:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
                [count] = cursor.fetchone()
            yield GaugeMetricFamily("serving_database_connections", "Open connections to the database.", count)
        if apps.is_installed("django_ox"):
            from django_ox import stats
            from django_ox.models import OxTask

            states = GaugeMetricFamily("jobs", "Jobs by state.", labels=["state"])
            count = OxTask.objects.filter
            states.add_metric(["waiting"], stats.ready_count())
            for state in ("running", "failed"):
                states.add_metric([state], count(status=state.upper()).count())
            yield states
            oldest = stats.oldest_ready_age()
            age = oldest.total_seconds() if oldest else 0
            yield GaugeMetricFamily("jobs_oldest_waiting_seconds", "How long the oldest job has waited.", age)
    except DatabaseError:
        # Without the database, still report the servers' metrics.
        pass
    finally:
        connection.close()
