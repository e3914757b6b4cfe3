"""Jobs that tests and drills ask for."""

import logging
import time

from django.db import transaction
from django.tasks import task

from kit.live import publish

from .live import NOTES

logger = logging.getLogger(__name__)


@task
def note(text, seconds=0):
    logger.info("Writing %s.", text)
    time.sleep(seconds)
    with transaction.atomic():
        publish(NOTES, text)


@task
def fail():
    raise RuntimeError("never")
