"""Jobs (django.tasks, kept in the database by django-ox): a thread of each server process does them where no container
does."""

import logging
import threading

from django.conf import settings
from django.core.management import call_command
from django.dispatch import receiver
from django.tasks import task
from django.tasks.signals import task_enqueued, task_finished, task_started

from kit.logs import request_id

logger = logging.getLogger(__name__)

# Seconds for which a server that stops waits for the jobs that it has begun: within Gunicorn's own limit.
ENDS_WITHIN = 20

_worker = _thread = None


def start() -> None:
    """On a thread of this process, which serves requests beside it."""
    global _worker, _thread  # noqa: PLW0603
    if not settings.TASKS["default"]["BACKEND"].startswith("django_ox."):
        return
    from django_ox.worker import worker_class

    _worker = worker_class("default")(backend_alias="default", concurrency=settings.WORKER_THREADS)
    _thread = threading.Thread(target=_run, name="jobs", daemon=True)
    _thread.start()


def _run():
    logger.info("This process does the jobs too, %d at once (WORKER_PROCESSES=0: none).", settings.WORKER_THREADS)
    try:
        _worker.run()
    except Exception:
        logger.exception("No more jobs are done by this process.")


def stop() -> None:
    """Begins no other job, and waits for those that it is at. What does not end in time is done again elsewhere."""
    if _worker:
        _worker.request_stop()
        _thread.join(ENDS_WITHIN)


# --- Logs: the request's line names the task, whose own lines have that as their id ---


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
    """Jobs that succeeded are kept for a day, those that failed for 30."""
    call_command("ox_prune", older_than="1d", verbosity=0)
    call_command("ox_prune", older_than="30d", include_failed=True, verbosity=0)
