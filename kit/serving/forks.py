"""Workers are forked from a process that has loaded the project, and a fork copies memory, but no threads: what runs
beside the requests has to start after it."""

import threading

from django.dispatch import Signal

# Sent in each worker once, before its first request, with `worker`, Gunicorn's own. Not sent by commands of manage.py.
worker_started = Signal()
# Packages whose threads start again in a worker, and a debugger's.
AT_EASE = {"_pydevd_bundle", "debugpy", "opentelemetry", "psycopg_pool", "pydevd", "sentry_sdk"}


def threads_lost() -> list[str]:
    """The threads that run now and will run in no worker, each as "'name' (module)"."""
    lost = []
    for thread in threading.enumerate():
        if thread is threading.main_thread():
            continue
        # Of a Timer, and of a class of its own.
        runs = getattr(thread, "_target", None) or getattr(thread, "function", None) or type(thread)
        module = getattr(runs, "__module__", None) or type(runs).__module__
        if module.partition(".")[0] not in AT_EASE:
            lost.append(f"{thread.name!r} ({module})")
    return lost
