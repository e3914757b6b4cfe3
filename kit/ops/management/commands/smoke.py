"""Checks through Nginx that this slot answers in this mode, with a visitor's requests."""

import http
import json
import time

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from kit.ops import health
from kit.ops.visitor import Visitor, Wrong

# Seconds for Nginx to switch to this slot.
TURNED_WITHIN = 10


class Command(BaseCommand):
    help = "Checks through Nginx that this slot serves in this mode: readiness, a page, its files, the WebSocket."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("host", help="the host where Nginx listens")

    def handle(self, *, host, **options):
        visitor = Visitor(host)
        try:
            self.check_slot(visitor)
            visitor.check_page()
            visitor.check_live()
        except Wrong as error:
            raise CommandError(str(error)) from error

    def check_slot(self, visitor):
        give_up = time.monotonic() + TURNED_WITHIN
        while True:
            answer = visitor.ask(health.READY)
            if answer.status == http.HTTPStatus.OK:
                answered = json.loads(answer.text)
                served = answered["slot"], answered["mode"], answered.get("revision")
                if served == (settings.SLOT, settings.SERVER_MODE, settings.REVISION):
                    return
            if time.monotonic() > give_up:
                raise Wrong(
                    f"Nginx does not send requests to {settings.SLOT} in {settings.SERVER_MODE} mode: {health.READY} "
                    f"answers {answer.status} {answer.text[:300]}"
                )
            time.sleep(0.1)
