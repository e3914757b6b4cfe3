"""What changed after a cursor, as the one message that WebSocket, event stream and polling all carry:

    {"cursor": "12", "changes": [{"id": "3", "html": "<li …>"}, {"id": "4", "html": null}]}

Only the database is asked, so it does not matter what was or was not pushed.
"""

import json
from dataclasses import dataclass

from django.utils import translation

from .models import Change
from .topics import TOPICS

# A page further behind than this is better off loading itself anew than with so many pieces.
LIMIT = 500
MAX_POSITION = 2**63 - 1


class BadCursor(ValueError):
    """The text is no cursor. Its message is a sentence for whoever sent it."""


@dataclass(frozen=True)
class Message:
    """`position` is where the reader stands after it, `changes` how many it carries, `text` the JSON."""

    position: int
    changes: int
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
    return str(_newest(topic))


def after(topic: str, readers: set[tuple[str, int | None]]) -> dict[tuple[str, int | None], Message | None]:
    """The message for each reader, a pair of language and position.

    None stands for a reader whose page must be loaded anew: it is over LIMIT changes behind, or its position is ahead
    of the database, which was restored from a backup.
    """
    known = [position for _, position in readers if position is not None]
    rows = []
    if known:
        # From the reader that is furthest behind, its own position included: that tells an old database from an
        # idle one. Newest first, for the limit.
        query = Change.objects.filter(topic=topic, position__gte=min(known)).order_by("-position")
        rows = list(query.values_list("position", "key")[: LIMIT + 2])
    # Not asked for again where there are no rows: what was committed in between would be passed over.
    newest = rows[0][0] if rows else 0
    oldest_served = rows[LIMIT][0] if len(rows) > LIMIT else 0
    rows.reverse()

    messages: dict[tuple[str, int | None], Message | None] = {}
    html: dict[str, dict[str, str]] = {}
    for language, position in readers:
        if position is None:
            messages[language, position] = _message(newest if rows else _newest(topic), [])
        elif oldest_served <= position <= newest:
            keys = [key for row, key in rows if row > position]
            if keys and language not in html:
                wanted = [key for row, key in rows if row > min(known)]
                with translation.override(language):
                    html[language] = TOPICS[topic](wanted)
            messages[language, position] = _message(
                newest, [{"id": key, "html": html[language].get(key)} for key in keys]
            )
        else:
            messages[language, position] = None
    return messages


def _newest(topic: str) -> int:
    query = Change.objects.filter(topic=topic, position__isnull=False).order_by("-position")
    return query.values_list("position", flat=True).first() or 0


def _message(position: int, changes: list[dict]) -> Message:
    text = json.dumps({"cursor": str(position), "changes": changes}, ensure_ascii=False, separators=(",", ":"))
    return Message(position, len(changes), text)
