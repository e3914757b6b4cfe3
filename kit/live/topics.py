"""What other applications call: register a topic, and publish a change of one of its objects."""

from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import transaction

from . import hints

Render = Callable[[list[str]], dict[str, str]]
TOPICS: dict[str, Render] = {}


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
        transaction.on_commit(partial(hints.send, topic), robust=True)
