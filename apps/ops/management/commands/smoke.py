"""Asks the stack from outside, through Nginx, what a visitor would: is it this slot, in this mode, that answers?"""

import http.client
import json
import re
import socket
import time
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.sync.client import connect

from apps.live.topics import TOPICS
from apps.ops import health

# Seconds for Nginx to have turned to this slot, and for each answer.
TURNED_WITHIN = 10
TIMEOUT = 10


class Command(BaseCommand):
    help = "Checks through Nginx that this slot serves in this mode: readiness, a page, its files, the WebSocket."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("address", help="HOST:PORT of Nginx")

    def handle(self, *, address, **options):
        host, _, port = address.partition(":")
        self.edge = (host, int(port or 80))
        self.site = urlsplit(settings.SITE_URL).netloc
        try:
            self.check_slot()
            self.check_page()
            self.check_live()
        except (OSError, http.client.HTTPException) as error:
            raise CommandError(f"Nginx at {address} gave no answer: {error!r}") from error

    def get(self, path):
        """The status and the text of an answer."""
        connection = http.client.HTTPConnection(*self.edge, timeout=TIMEOUT)
        try:
            connection.request("GET", path, headers={"Host": self.site})
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()

    def check_slot(self):
        give_up = time.monotonic() + TURNED_WITHIN
        while True:
            status, text = self.get(health.READY)
            if status == http.HTTPStatus.OK:
                answered = json.loads(text)
                if (answered["slot"], answered["mode"]) == (settings.SLOT, settings.SERVER_MODE):
                    return
            if time.monotonic() > give_up:
                raise CommandError(
                    f"Nginx does not send requests to {settings.SLOT} in {settings.SERVER_MODE} mode: {health.READY} "
                    f"answers {status} {text[:300]}"
                )
            time.sleep(0.1)

    def check_page(self):
        status, text = self.get("/")
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise CommandError(f"The page / is answered {status}: look at the log of web-{settings.SLOT}.")
        for path in set(re.findall(rf'(?:href|src)="({re.escape(settings.STATIC_URL)}[^"?#]+)', text)):
            status, _ = self.get(path)
            if status != http.HTTPStatus.OK:
                raise CommandError(f"The page / names {path}, which is answered {status}.")

    def check_live(self):
        """The first topic by WebSocket, or the refusal where this mode has none."""
        topic = next(iter(TOPICS), None)
        if topic is None:
            return
        path = f"/live/{topic}/ws"
        if "websocket" not in settings.LIVE_TRANSPORTS:
            status, _ = self.get(path)
            if status != http.HTTPStatus.UPGRADE_REQUIRED:
                raise CommandError(f"{path} is answered {status}, where {settings.SERVER_MODE} mode has to refuse it.")
            return
        try:
            with (
                socket.create_connection(self.edge, timeout=TIMEOUT) as connection,
                connect(f"ws://{self.site}{path}", sock=connection, origin=settings.SITE_URL) as websocket,
            ):
                websocket.recv(timeout=TIMEOUT)
        except (InvalidHandshake, WebSocketException, TimeoutError) as error:
            raise CommandError(f"The WebSocket {path} does not open: {error}") from error
