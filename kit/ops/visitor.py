"""Sends a visitor's requests through Nginx. Raises each error as one sentence."""

import asyncio
import http.client
import re
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.shortcuts import resolve_url
from django.urls import reverse
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from kit.live.topics import REGISTRATIONS

# Nginx's ports inside the stack.
PORTS = {"http": 8080, "https": 8443}
# Seconds to wait for each answer.
TIMEOUT = 10
# An unknown topic.
NOWHERE = "no/such/topic"


class Wrong(Exception):
    pass


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    text: str
    asked_from: str
    """Our address on the connection."""


class Visitor:
    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        tls: bool | None = None,
        site: str | None = None,
        timeout: float = TIMEOUT,
    ):
        """Ask Nginx at `host` by the site's scheme, or the server at `port`. `site`: SITE_URL, or another of the site's
        addresses."""
        self.site = urlsplit(site or settings.SITE_URL)
        self.tls = None
        if self.site.scheme == "https" if tls is None else tls:
            # Without a certificate yet, Nginx uses a self-signed one, and the slot still serves.
            self.tls = ssl.create_default_context()
            self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.address = (host, port or PORTS[self.site.scheme])
        self.timeout = timeout

    def connect(self) -> socket.socket:
        connection = socket.create_connection(self.address, timeout=self.timeout)
        try:
            return self.tls.wrap_socket(connection, server_hostname=self.site.hostname) if self.tls else connection
        except OSError:
            connection.close()
            raise

    def ask(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(*self.address, timeout=self.timeout)
        try:
            connection.sock = self.connect()
            asked_from = connection.sock.getsockname()[0]
            connection.request(method, path, body, headers={"Host": self.site.netloc, **headers})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode(errors="replace"), asked_from)
        except TimeoutError as error:
            raise Wrong(
                f"{self.address[0]}:{self.address[1]} does not answer {path} within {self.timeout} s."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise Wrong(
                f"{self.address[0]}:{self.address[1]} gave no answer to {path}: {str(error) or type(error).__name__}"
            ) from error
        finally:
            connection.close()

    def check_page(self) -> str:
        """Request the page / and each static file in it. Returns what was checked."""
        page = self.ask("/")
        if page.status >= http.HTTPStatus.BAD_REQUEST:
            raise Wrong(f"The page / returns {page.status}: look at the log of web-{settings.SLOT}.")
        paths = set(re.findall(rf'(?:href|src)="({re.escape(settings.STATIC_URL)}[^"?#]+)', page.text))
        for path in paths:
            status = self.ask(path).status
            if status != http.HTTPStatus.OK:
                raise Wrong(f"The page / names {path}, which returns {status}.")
        return f"/ and {len(paths)} static files"

    def check_live(self) -> str:
        """Use a WebSocket, or expect its refusal where this mode has none. Returns what was checked.

        It follows a public topic. If all topics are private, it asks for an unknown one: a WebSocket server answers
        that with 404 in plain text, and Django's page with 426.
        """
        if not REGISTRATIONS:
            return "no topic is registered"
        public = (name for name, each in REGISTRATIONS.items() if not each.may_follow and not each.pattern.converters)
        topic = next(public, NOWHERE)
        path = f"/live/{topic}/ws"
        if "websocket" not in settings.LIVE_TRANSPORTS:
            status = self.ask(path).status
            if status != http.HTTPStatus.UPGRADE_REQUIRED:
                raise Wrong(f"{path} returns {status}, but {settings.SERVER_MODE} mode has to refuse it.")
            return f"{path} is refused with 426, as expected in {settings.SERVER_MODE} mode"
        try:
            asyncio.run(self._open(path))
        except InvalidStatus as error:
            status, kind = error.response.status_code, error.response.headers.get("Content-Type", "")
            if topic == NOWHERE and status == http.HTTPStatus.NOT_FOUND and kind.startswith("text/plain"):
                return f"{path} is refused with 404 by what speaks WebSocket: no topic is public"
            raise Wrong(f"The WebSocket {path} does not open: it returns {status} instead of 101.") from error
        except TimeoutError as error:
            raise Wrong(f"The WebSocket {path} does not open and answer within {self.timeout} s.") from error
        except (InvalidHandshake, WebSocketException, OSError) as error:
            raise Wrong(f"The WebSocket {path} does not open: {error}") from error
        return path

    async def _open(self, path):
        # Not websockets.sync: it reads on another thread, and a TLS connection that is read and written by two threads
        # at once breaks or hangs, about once in a hundred times.
        host, port = self.address
        tls = {"ssl": self.tls, "server_hostname": self.site.hostname} if self.tls else {}
        async with (
            asyncio.timeout(self.timeout),
            connect(
                f"{'wss' if self.tls else 'ws'}://{self.site.netloc}{path}",
                host=host, port=port, origin=settings.SITE_URL, proxy=None, open_timeout=None, **tls,
            ) as websocket,
        ):  # fmt: skip
            await websocket.recv()
            await (await websocket.ping())

    def check_csrf(self) -> str:
        """Get a form and post it like a browser. It must be refused without its token."""
        form = resolve_url(settings.LOGIN_URL)
        page = self.ask(form)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        cookies = [header.split(";")[0] for header in page.headers.get_all("Set-Cookie", [])]
        if not token or not cookies:
            raise Wrong(f"The page {form} returns {page.status}, without a form or without a cookie.")
        with_token, without = (
            self.ask(
                reverse("set_language"),
                "POST",
                f"language={settings.LANGUAGE_CODE}&next=/{extra}",
                **{
                    "Content-Type": "application/x-www-form-urlencoded",
                    "Cookie": "; ".join(cookies),
                    "Origin": settings.SITE_URL,
                    "Referer": f"{settings.SITE_URL}{form}",
                },
            ).status
            for extra in (f"&csrfmiddlewaretoken={token[1]}", "")
        )
        if with_token >= http.HTTPStatus.BAD_REQUEST:
            raise Wrong(f"The form of {form}, sent back with its token, returns {with_token}.")
        if without != http.HTTPStatus.FORBIDDEN:
            raise Wrong(f"A form without its token returns {without}: it has to be refused with 403.")
        return "a form is taken with its token, and refused without"
