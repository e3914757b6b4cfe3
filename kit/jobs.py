"""Jobs (django.tasks, stored in the database by django-ox). Without a worker container, a thread in each server
process runs them."""

import logging
import threading

from django.conf import settings
from django.core.management import call_command
from django.dispatch import receiver
from django.tasks import task
from django.tasks.signals import task_enqueued, task_finished, task_started

from kit.logs import request_id

logger = logging.getLogger(__name__)

# Seconds that a stopping server waits for running jobs: less than Gunicorn's own limit.
ENDS_WITHIN = 20

_worker = _thread = None


def start() -> None:
    """Run jobs on a thread of this process, beside its requests."""
    global _worker, _thread  # noqa: PLW0603
    if not settings.TASKS["default"]["BACKEND"].startswith("django_ox."):
        return
    from django_ox.worker import worker_class

    _worker = worker_class("default")(backend_alias="default", concurrency=settings.WORKER_THREADS)
    _thread = threading.Thread(target=_run, name="jobs", daemon=True)
    _thread.start()


def _run():
    logger.info("This process also runs jobs, %d at once (WORKER_PROCESSES=0: none).", settings.WORKER_THREADS)
    try:
        _worker.run()
    except Exception:
        logger.exception("This process has stopped running jobs.")


def stop() -> None:
    """Start no more jobs and wait for the running ones. Another worker repeats those that don't finish in time."""
    if _worker:
        _worker.request_stop()
        _thread.join(ENDS_WITHIN)


# --- Logs: the request's line names the job, and the job's lines carry its id ---


@receiver(task_enqueued)
def say_which(sender, task_result, **kwargs):
    logger.info("Job %s: %s", task_result.id, task_result.task.module_path)


@receiver(task_started)
def take_id(sender, task_result, **kwargs):
    request_id.set(task_result.id)


@receiver(task_finished)
def drop_id(sender, **kwargs):
    request_id.set("")


# --- The table ---


@task
def prune() -> None:
    """Keep successful jobs for a day and failed ones for 30 days."""
    call_command("ox_prune", older_than="1d", verbosity=0)
    call_command("ox_prune", older_than="30d", include_failed=True, verbosity=0)
