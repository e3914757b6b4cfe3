"""Gunicorn's configuration, on a laptop as in production. `gunicorn` started in this folder reads it."""

import gc
import io
import os
import resource
import sys
from urllib.parse import urlsplit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wisheasy.settings")

from django.conf import settings
from gunicorn import glogging

from kit import environment, logs
from kit.serving import forks, limits, succession, timeouts

if os.environ.get(environment.STAND_INS_ALLOWED):
    sys.exit(f"{environment.STAND_INS_ALLOWED} is set, which hides missing values: unset it to serve.")

# Loads the settings before any worker is forked, and exits if the environment has errors.
if settings.METRICS:
    # Before the project, whose own metrics need its setup.
    from kit import figures
else:
    figures = None
# Gunicorn expects a colon before the last part.
wsgi_app = ":".join(getattr(settings, settings.APPLICATION_SETTING).rsplit(".", 1))
worker_class = settings.WORKER_CLASS
workers = settings.WORKERS
threads = settings.THREADS

_address = f"[{settings.BIND_ADDRESS}]" if ":" in settings.BIND_ADDRESS else settings.BIND_ADDRESS
bind = f"{_address}:{settings.PORT}"
keepalive = timeouts.SERVER_KEEPALIVE
timeout = timeouts.WORKER_TIMEOUT
graceful_timeout = timeouts.GRACEFUL
# Trust no X-Forwarded-* unless a proxy is configured.
forwarded_allow_ips = settings.FORWARDED_ALLOW_IPS or ""
# kit/serving/proxies.py reads the scheme, as under ASGI: Gunicorn refuses a list of values.
secure_scheme_headers = {}

# Gunicorn's defaults would refuse, in WSGI alone, requests that Nginx passes on. It counts a header's line end.
limit_request_line = limits.REQUEST_LINE
limit_request_field_size = limits.FIELD + 2
limit_request_fields = limits.FIELDS

# Load the project once and share its memory between workers.
preload_app = True
# Replace workers now and then, not all at once, so that slow leaks stay small (kit/serving/succession.py).
max_requests = 20_000
max_requests_jitter = 5_000
# For the heartbeat file: on a disk it can block a worker until it is killed.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108  (the folder, not a file of ours)
# The control socket would be in the home folder, which is read-only in a container.
control_socket_disable = True

# Nginx, where it is in front, logs each request.
accesslog = None if settings.FORWARDED_ALLOW_IPS else "-"


def between_requests(record):
    """Drop the id of the thread's last request from Gunicorn's lines between requests, or about one that it can't read.
    During a request, Gunicorn logs only exceptions."""
    if not record.exc_info:
        record.request_id = ""
    return True


class Logger(glogging.Logger):
    """Logs Gunicorn's and Uvicorn's lines in the project's format (kit/logs.py)."""

    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.addFilter(between_requests)
        # Access log lines contain the time.
        for logger, plain in ((self.error_log, logs.PLAIN), (self.access_log, "%(message)s")):
            for handler in logger.handlers:
                handler.addFilter(logs.Clean())
                handler.setFormatter(logs.formatter(handler.stream, plain))


logger_class = Logger


def on_starting(server):
    """Refuse to start if Django's system checks find errors."""
    # Each open page needs a file descriptor. Some engines start containers with a soft limit of 1024.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    from django.core.management import call_command
    from django.core.management.base import SystemCheckError

    try:
        # Findings go to stderr. On stdout, "no issues" would be the only line that isn't JSON.
        call_command("check", stdout=io.StringIO())
    except SystemCheckError as error:
        sys.exit(str(error))
    for thread in forks.threads_lost():
        server.log.warning(
            "The thread %s was started before the workers are forked and will run in none of them: start it in a "
            "receiver of kit.serving.forks.worker_started (docs/extend.md).",
            thread,
        )
    for sentence in settings.STANDS_IN:
        server.log.info(sentence)
    if settings.SENTRY_DSN:
        server.log.info("Errors are reported to %s (SENTRY_DSN).", urlsplit(settings.SENTRY_DSN).hostname)
    if figures:
        figures.serve(server.log)


def post_fork(server, worker):
    if figures:
        figures.begin_worker(worker)


def post_worker_init(worker):
    forks.worker_started.send_robust(sender=type(worker), worker=worker)
    if settings.JOBS_HERE:
        from kit import jobs

        jobs.start()


def worker_exit(server, worker):
    if settings.JOBS_HERE:
        from kit import jobs

        jobs.stop()


def pre_fork(server, worker):
    """Close the connections that the master opened while it loaded the project: two workers can't share one.

    Also exclude the loaded project from garbage collection, which would copy the shared memory.
    """
    from django.db import connections

    if figures:
        figures.take_place(server, worker)
    gc.freeze()

    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()


def nworkers_changed(server, new_value, old_value):
    succession.count(server)


def child_exit(server, worker):
    succession.count(server, gone=worker)
    if figures:
        figures.end_worker(worker)


def on_reload(server):
    # Replace all existing workers, even if one of them has asked for a successor.
    server._num_workers = server.cfg.workers


def pre_request(worker, req):
    limits.check(req)
    # Lets kit/serving/bodies.py close the connection.
    req.body.force_close = req.force_close
