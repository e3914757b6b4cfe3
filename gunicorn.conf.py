"""How Gunicorn serves the project, on a laptop as in production: `gunicorn` alone, started in this folder, reads it."""

import gc
import io
import os
import resource
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wisheasy.settings")

from django.conf import settings
from gunicorn import glogging

from kit import environment, logs
from kit.serving import forks, limits, succession, timeouts

if os.environ.get(environment.STAND_INS_ALLOWED):
    sys.exit(f"{environment.STAND_INS_ALLOWED} is set, which hides that values are missing: unset it to serve.")

# Settings are first read here, before any worker is forked, and stop here when something in the environment is wrong.
if settings.METRICS:
    # Before the project, whose own counters it makes room for.
    from kit import figures
else:
    figures = None
# Gunicorn wants a colon before the last part.
wsgi_app = ":".join(getattr(settings, settings.APPLICATION_SETTING).rsplit(".", 1))
worker_class = settings.WORKER_CLASS
workers = settings.WORKERS
threads = settings.THREADS

_address = f"[{settings.BIND_ADDRESS}]" if ":" in settings.BIND_ADDRESS else settings.BIND_ADDRESS
bind = f"{_address}:{settings.PORT}"
keepalive = timeouts.SERVER_KEEPALIVE
timeout = timeouts.WORKER_TIMEOUT
graceful_timeout = timeouts.GRACEFUL
# No X-Forwarded-* is believed unless a proxy is said to be in front.
forwarded_allow_ips = settings.FORWARDED_ALLOW_IPS or ""
# kit/serving/proxies.py reads the scheme, as in ASGI: Gunicorn refuses a list of them.
secure_scheme_headers = {}

# Gunicorn's own would refuse, in WSGI alone, what Nginx has let pass. Gunicorn counts the end of a header's line.
limit_request_line = limits.REQUEST_LINE
limit_request_field_size = limits.FIELD + 2
limit_request_fields = limits.FIELDS

# The project is loaded once and its memory shared by all workers.
preload_app = True
# Workers are replaced now and then, not all at once, so that a slow leak never grows large (kit/serving/succession.py).
max_requests = 20_000
max_requests_jitter = 5_000
# The heartbeat file: on a disk it can block a worker for long enough to be killed.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108  (the folder, not a file of ours)
# It would be a socket file in the home folder, which a read-only container does not have.
control_socket_disable = True

# Nginx logs each request where it is in front.
accesslog = None if settings.FORWARDED_ALLOW_IPS else "-"


def between_requests(record):
    """Of a request, Gunicorn only writes exceptions. The rest it writes between two, or of one that it cannot read,
    while its thread still has the id of the last."""
    if not record.exc_info:
        record.request_id = ""
    return True


class Logger(glogging.Logger):
    """Gunicorn's lines, and with them Uvicorn's, in the shape of all others (kit/logs.py)."""

    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.addFilter(between_requests)
        # A line of the access log has its own time in it.
        for logger, plain in ((self.error_log, logs.PLAIN), (self.access_log, "%(message)s")):
            for handler in logger.handlers:
                handler.addFilter(logs.Clean())
                handler.setFormatter(logs.formatter(handler.stream, plain))


logger_class = Logger


def on_starting(server):
    """Refuse to start with a configuration that Django's system checks call an error."""
    # Each open page is an open file. Some engines start containers with a soft limit of 1024.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    from django.core.management import call_command
    from django.core.management.base import SystemCheckError

    try:
        # What it finds goes to stderr. That it found nothing would be the one line that is no JSON.
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
    """Close what the master opened while it loaded the project: a connection that two workers share breaks both.

    And let the garbage collector pass over what the project is made of: to look at it would copy the shared memory.
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
    # All workers of before are to go, whoever asks for one more.
    server._num_workers = server.cfg.workers


def pre_request(worker, req):
    limits.check(req)
    # For kit/serving/bodies.py, which gets nothing else of it.
    req.body.force_close = req.force_close
