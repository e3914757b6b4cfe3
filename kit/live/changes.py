"""What changed after a cursor, as the one message that WebSocket, event stream and polling all carry:

    {"cursor": "12", "changes": [{"id": "3", "html": "<li …>"}, {"id": "4", "html": null}]}

Only the database is asked, so it does not matter what was or was not pushed.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone, translation

from .models import Change
from .topics import Topic

# A page further behind than this is better off loading itself anew than with so many pieces.
LIMIT = 500
# So is one that was away for longer.
KEPT = timedelta(days=1)
MAX_POSITION = 2**63 - 1
# Rows that one look at what is old removes at most: somebody's commit waits for it.
PRUNED_AT_ONCE = 1000
# The topic of the row that holds the horizon, see Change.
HORIZON = ""

# One reader: language, position, and of a topic that is rendered for each viewer, who that is.
Reading = tuple[str, int | None, Any]


class BadCursor(ValueError):
    """The text is no cursor. Its message is a sentence for whoever sent it."""


@dataclass(frozen=True)
class Message:
    """`position` is where the reader stands after it, `news` how many changes and announcements are in it, `text` the
    JSON."""

    position: int
    news: int
    text: str


def parse(cursor: str | None) -> int | None:
    """The position that `cursor` stands for; None, which means "from now on", where there is none."""
    if cursor is None:
        return None
    # isascii, because int() also reads the digits of every other script.
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 19 and int(cursor) <= MAX_POSITION):
        raise BadCursor(
            f"{cursor[:40]!r} is not a cursor: a good one is the `cursor` of the last message, such as after=42."
        )
    return int(cursor)


def latest(topic: str) -> str:
    """The cursor of a page that is built from what the database holds now. Take it first, then query."""
    return str(max(moved({topic: -1}).values()))


def after(topic: Topic, readers: set[Reading]) -> dict[Reading, Message | None]:
    """The message for each reader.

    None stands for a reader whose page must be loaded anew: it is over LIMIT changes behind or was away for longer than
    KEPT, or its position is ahead of the database, which was restored from a backup.
    """
    known = [position for _, position, _ in readers if position is not None]
    rows = []
    if known:
        # From the reader that is furthest behind, its own position included: that tells an old database from an
        # idle one. Newest first, for the limit.
        query = Change.objects.filter(topic=topic.name, position__gte=min(known)).order_by("-position")
        rows = list(query.values_list("position", "key")[: LIMIT + 2])
    # Where the row of the one furthest behind is still there, nothing above it was removed.
    stand = moved({topic.name: -1}) if not rows or rows[-1][0] != min(known) else {}
    horizon = stand.get(HORIZON, 0)
    # Not what the topic stands at: what was committed between the two queries would be passed over.
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
    """The newest position of those topics whose newest is not the `known` one, whatever their number, and under HORIZON
    that of the horizon. A topic that stands below both has lost what its readers know."""
    # -1 for a topic without rows: it has moved for who knows nothing (-1), and not for who knows the horizon.
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
            """,  # noqa: S608  (nothing of it comes from outside)
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
    """Remove what nobody can ask for any more: of any topic what is older than KEPT, of this one what is over LIMIT."""
    placed = Change.objects.filter(position__isnull=False).exclude(topic=HORIZON)
    # One more is kept than is sent: it tells who is too far behind.
    over = placed.filter(topic=topic).order_by("-position").values_list("position", flat=True)[LIMIT + 1 : LIMIT + 2]
    with transaction.atomic():
        # Who is about to publish one of these keeps it, and waits for nobody.
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
