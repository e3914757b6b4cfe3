"""WebSocket /live/TOPIC/ws?after=CURSOR. A plain ASGI application under Channels' router: its consumers send every
message through a thread, which an endpoint that only passes texts on has no need of."""

import asyncio
import logging
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.http import parse_cookie
from django.utils import translation

from kit.request_ids import AT_ONCE

from . import audience, changes, topics
from .hub import Forbidden, Gone, Stopping, follow

logger = logging.getLogger(__name__)

# Seconds that one message may take to leave for a client that does not read.
SEND_TIMEOUT = 10

# Close codes of RFC 6455, section 7.4.1, and two of ours.
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013
RELOAD = 4410
FORBIDDEN = 4403

DEFAULT_PORTS = {"http": 80, "https": 443}


async def socket(scope, receive, send):
    await receive()
    if await refuse_foreign(scope, send):
        return
    name = scope["url_route"]["kwargs"]["topic"]
    topic = topics.find(name)
    if not topic:
        return await refuse(scope, send, 404, f"There is no topic {name[: topics.MAX_LENGTH]!r}.")
    try:
        position = changes.parse(parse_qs(scope["query_string"].decode("latin-1")).get("after", [None])[0])
    except changes.BadCursor as error:
        return await refuse(scope, send, 400, str(error))
    visitor = await audience.visitor_of(scope) if topic.asks_who else None
    if not await topic.allows(visitor and visitor.user):
        logger.warning("Forbidden: %s, of user %s.", scope["path"], visitor.user.pk)
        return await refuse(scope, send, 403, f"You may not follow {name!r}.")

    await send({"type": "websocket.accept"})
    sending = asyncio.create_task(
        _send_messages(send, _at_once(scope, send), topic, language_of(scope), position, visitor)
    )
    try:
        # A client has nothing to say here.
        while (await receive())["type"] != "websocket.disconnect":
            pass
    finally:
        sending.cancel()


async def nowhere(scope, receive, send):
    await receive()
    await refuse(scope, send, 404, "There is no WebSocket at this address.")


def _at_once(scope, send):
    """Our server's shortcut for a text that need not wait. None on another server, and if an application wraps `send`:
    it expects to see each message."""
    extension = scope.get("extensions", {}).get(AT_ONCE)
    return extension["text"] if extension and extension["send"] == send else None


async def _send_messages(send, at_once, topic, language, position, visitor):
    try:
        try:
            with follow(topic, language, position, visitor) as reader:
                reader.at_once = at_once
                while True:
                    message = await reader.next()
                    async with asyncio.timeout(SEND_TIMEOUT):
                        await send({"type": "websocket.send", "text": message.text})
        except Gone:
            await send({"type": "websocket.close", "code": RELOAD})
        except Forbidden:
            await send({"type": "websocket.close", "code": FORBIDDEN})
        except Stopping:
            await send({"type": "websocket.close", "code": SERVICE_RESTART})
        except TimeoutError:
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
    except OSError:
        # The other side went away while something was on its way to it.
        pass


async def refuse_foreign(scope, send) -> bool:
    """Refuse a WebSocket that a page of another site opens. Was it one?"""
    origin = _headers(scope).get(b"origin")
    if origin is None or is_our_origin(origin):
        return False
    logger.warning("Refused a WebSocket from the foreign origin %r: SITE_URL names another one.", origin[:200])
    await refuse(scope, send, 403, f"The origin {origin[:200]!r} is not this site.")
    return True


async def refuse(scope, send, status, sentence):
    """Answer the handshake with an HTTP response, where the server can."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        return await send({"type": "websocket.close"})
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": f"{sentence}\n".encode()})


def language_of(scope) -> str:
    headers = _headers(scope)
    request = SimpleNamespace(
        COOKIES=parse_cookie(headers.get(b"cookie", "")),
        META={"HTTP_ACCEPT_LANGUAGE": headers.get(b"accept-language", "")},
    )
    return translation.get_language_from_request(request)


def _headers(scope):
    return {name: value.decode("latin-1") for name, value in scope["headers"]}


def is_our_origin(origin: str) -> bool:
    """Is the page that opens the connection one of this site?

    A request without an Origin comes from no page at all: browsers always send one with a WebSocket.
    """
    try:
        scheme, host, port = _parts(origin)
    except ValueError:
        return False
    # Browsers send nothing before the host, and nothing behind the port.
    return "@" not in origin and origin.count("/") == 2 and (scheme, host, port) in _ours()


def _ours():
    for scheme, host, port in map(_parts, settings.SITE_URLS):
        loopback = host in _loopback_hosts()
        yield from ((scheme, name, port) for name in (_loopback_hosts() if loopback else [host]))


def _loopback_hosts():
    return [host.strip("[]") for host in settings.LOOPBACK_HOSTS]


def _parts(origin: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(origin)
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
