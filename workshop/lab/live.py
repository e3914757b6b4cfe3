"""One change on the live topic "lab", as often as somebody asks for it: a page, a test, or a measurement."""

import time

from django.db import transaction
from django.utils.html import format_html

from kit.live import publish, register

from .models import Row

TOPIC = "lab"
NUMBER = 0


def connect():
    register(TOPIC, render, public=True)


def render(keys):
    """One line of HTML for each row that still exists, by its key."""
    rows = Row.objects.filter(pk__in=keys)
    return {str(row.pk): format_html('<p id="lab-{}">{}</p>', row.pk, row.text) for row in rows}


@transaction.atomic
def broadcast() -> str:
    """Save the moment as the text of row 0, publish that change and return the text: seconds since 1970, with six
    decimal places. Who receives it on the same machine knows how long it took."""
    text = f"{time.time():.6f}"
    Row.objects.update_or_create(number=NUMBER, defaults={"text": text})
    publish(TOPIC, NUMBER)
    return text
