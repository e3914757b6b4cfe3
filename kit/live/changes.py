"""The changes after a cursor, as one message format for WebSocket, event stream and polling:

    {"cursor": "12", "changes": [{"id": "3", "html": "<li …>"}, {"id": "4", "html": null}]}

It reads only the database, so it doesn't matter which pushes were lost.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone, translation

from .models import Change
from .topics import Topic

# A page that is more changes behind than this reloads instead.
LIMIT = 500
# So does a page that was away for longer.
KEPT = timedelta(days=1)
MAX_POSITION = 2**63 - 1
# At most this many rows are pruned at once, because a visitor's commit waits for it.
PRUNED_AT_ONCE = 1000
# The topic of the row that holds the horizon, see Change.
HORIZON = ""

# One reader: its language, its position, and its viewer if the topic renders for each viewer.
Reading = tuple[str, int | None, Any]


class BadCursor(ValueError):
    """The text is not a cursor. The exception's message is a sentence for the client."""


@dataclass(frozen=True)
class Message:
    """`text` is the JSON, `position` the reader's position after it, `news` its number of changes and announcements."""

    position: int
    news: int
    text: str


def parse(cursor: str | None) -> int | None:
    """The position that `cursor` stands for, or None ("from now on") without a cursor."""
    if cursor is None:
        return None
    # isascii, because int() also accepts the digits of other scripts.
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 19 and int(cursor) <= MAX_POSITION):
        raise BadCursor(
            f"{cursor[:40]!r} is not a cursor: a good one is the `cursor` of the last message, such as after=42."
        )
    return int(cursor)


def latest(topic: str) -> str:
    """The cursor for a page that is built now. Call it before you query."""
    return str(max(moved({topic: -1}).values()))


def after(topic: Topic, readers: set[Reading]) -> dict[Reading, Message | None]:
    """The message for each reader.

    None means that the reader must reload: it is over LIMIT changes behind, was away for longer than KEPT, or its
    position is ahead of the database, which was restored from a backup.
    """
    known = [position for _, position, _ in readers if position is not None]
    rows = []
    if known:
        # Start at the position of the reader furthest behind, inclusive, which tells a restored database from an idle
        # one. Newest first, for the limit.
        query = Change.objects.filter(topic=topic.name, position__gte=min(known)).order_by("-position")
        rows = list(query.values_list("position", "key")[: LIMIT + 2])
    # If that reader's own row is still there, no row above it was removed.
    stand = moved({topic.name: -1}) if not rows or rows[-1][0] != min(known) else {}
    horizon = stand.get(HORIZON, 0)
    # Not the topic's newest position: that would skip commits between the two queries.
    newest = max(rows[0][0] if rows else 0, horizon)
    oldest_served = max(rows[LIMIT][0] if len(rows) > LIMIT else 0, horizon)
    rows.reverse()

    messages: dict[Reading, Message | None] = {}
    html: dict[tuple[str, Any], dict[str, str]] = {}
    for language, position, viewer in readers:
        reading = language, position, viewer
        if position is None:
            messages[reading] = message(max([newest, *stand.values()]), [])
        elif oldest_served <= position <= newest:
            keys = [key for row, key in rows if row > position]
            if keys and (language, viewer) not in html:
                wanted = [key for row, key in rows if row > min(known)]
                with translation.override(language):
                    html[language, viewer] = topic.render(wanted, *([viewer] if topic.per_viewer else []))
            changes = [{"id": key, "html": html[language, viewer].get(key)} for key in keys]
            messages[reading] = message(newest, changes)
        else:
            messages[reading] = None
    return messages


def moved(known: dict[str, int]) -> dict[str, int]:
    """The newest position of each topic that differs from its `known` one, in one query; the horizon's under HORIZON.
    A topic below both has lost rows that its readers know."""
    # A topic without rows is at -1: moved for a reader that knows nothing (-1), not for one that knows the horizon.
    each = "json_each_text(%s::json)" if connection.vendor == "postgresql" else "json_each(%s)"
    horizon = "coalesce((SELECT max(position) FROM live_change WHERE topic = ''), 0)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT name, newest FROM (
                SELECT asked.key AS name, CAST(asked.value AS bigint) AS known, {horizon} AS horizon,
                    coalesce((SELECT max(position) FROM live_change WHERE topic = asked.key), 0) AS newest
                FROM {each} AS asked
            ) AS topics
            WHERE newest <> known AND (newest > known OR horizon < known)
            """,  # noqa: S608  (no outside input)
            [json.dumps({**known, HORIZON: -1})],
        )
        return dict(cursor.fetchall())


def message(position: int, changes: list[dict], announced: list[Any] = ()) -> Message:
    parts = {"cursor": str(position), "changes": changes}
    if announced:
        parts["announced"] = announced
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return Message(position, len(changes) + len(announced), text)


def prune(topic: str) -> None:
    """Remove rows that no page asks for: those older than KEPT in any topic, and those over LIMIT in this one."""
    placed = Change.objects.filter(position__isnull=False).exclude(topic=HORIZON)
    # Keep one more than is sent, to recognise readers that are too far behind.
    over = placed.filter(topic=topic).order_by("-position").values_list("position", flat=True)[LIMIT + 1 : LIMIT + 2]
    with transaction.atomic():
        # Skip rows that another transaction is about to publish, so that it needn't wait.
        rows = placed.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
        old = rows.filter(at__lt=timezone.now() - KEPT).order_by("at").values_list("pk", "position")
        removed = dict(old[:PRUNED_AT_ONCE])
        if removed:
            horizon, _ = Change.objects.select_for_update().get_or_create(
                topic=HORIZON, key="", defaults={"position": 0}
            )
            horizon.position = max(horizon.position, *removed.values())
            horizon.save(update_fields=["position"])
        for boundary in over:
            rest = rows.filter(topic=topic, position__lte=boundary).order_by("position").values_list("pk", "position")
            removed |= rest[:PRUNED_AT_ONCE]
        Change.objects.filter(pk__in=removed).delete()
