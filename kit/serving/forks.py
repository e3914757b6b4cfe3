"""Workers are forked from a process that has loaded the project. A fork copies memory but no threads, so background
threads have to start after it."""

import threading

from django.dispatch import Signal

# Sent once in each worker before its first request, with Gunicorn's `worker`. Management commands don't send it.
worker_started = Signal()
# Packages that restart their threads in a worker, and debuggers.
AT_EASE = {"_pydevd_bundle", "debugpy", "opentelemetry", "psycopg_pool", "pydevd", "sentry_sdk"}


def threads_lost() -> list[str]:
    """The running threads that no worker will have, each as "'name' (module)"."""
    lost = []
    for thread in threading.enumerate():
        if thread is threading.main_thread():
            continue
        # The last two are for a Timer and for other subclasses of Thread.
        runs = getattr(thread, "_target", None) or getattr(thread, "function", None) or type(thread)
        module = getattr(runs, "__module__", None) or type(runs).__module__
        if module.partition(".")[0] not in AT_EASE:
            lost.append(f"{thread.name!r} ({module})")
    return lost
