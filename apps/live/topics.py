"""What other applications call: register a topic, and publish a change of one of its objects."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction

logger = logging.getLogger(__name__)

Render = Callable[[list[str]], dict[str, str]]
TOPICS: dict[str, Render] = {}
# Seconds a hint may take. It is only a hint: the person whose change was saved does not wait for Redis.
HINT_TIMEOUT = 1


def register(topic: str, render: Render) -> None:
    """Make `topic` live. `render(keys)` gives the HTML of those objects that still exist, in the active language.

    The HTML goes to everybody alike: nothing in it may depend on who is looking.
    """
    TOPICS[topic] = render


def publish(topic: str, key: object) -> None:
    """Record, in the transaction that is open, that the object `key` changed or is gone, and push it when it commits.

    Called outside a transaction, a crash between the two commits leaves open pages as they were until reloaded.
    """
    from .models import Change

    # position=None asks the database for the next one, see the migration.
    Change.objects.bulk_create(
        [Change(topic=topic, key=str(key), position=None)],
        update_conflicts=True,
        unique_fields=["topic", "key"],
        update_fields=["position"],
    )
    if settings.LIVE_TRANSPORTS != ("polling",):
        transaction.on_commit(partial(_send_hint, topic), robust=True)


def group_name(topic: str) -> str:
    """The group of the channel layer that hears the hints of `topic`."""
    return f"live.{topic}"


def _send_hint(topic: str) -> None:
    try:
        async_to_sync(_group_send)(topic)
    except Exception as error:
        logger.warning("No hint sent for %s, open pages will be late by seconds: %r", topic, error)


async def _group_send(topic: str) -> None:
    async with asyncio.timeout(HINT_TIMEOUT):
        await get_channel_layer().group_send(group_name(topic), {"type": "live.hint"})
