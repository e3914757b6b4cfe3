"""Live changes over plain HTTP: event stream, polling and long polling."""

import asyncio

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from . import audience, changes, consumers, topics
from .hub import Forbidden, Gone, Stopping, follow

# Seconds that a long poll may wait: less than the timeouts of proxies on the way.
MAX_WAIT = 25


@require_safe
def upgrade_required(request, topic):
    """426: this URL needs another server, or an upgrade that the request did not ask for."""
    if settings.LIVE_TRANSPORTS_HERE == ("polling",):
        sentence = (
            f"This server runs in {settings.SERVER_MODE} mode, where pages are live by polling: WebSockets and event "
            "streams need `make up-asgi` or `make up-hybrid` (without Docker: `make run-asgi`)."
        )
    else:
        sentence = "This address speaks WebSocket: ask for it with Upgrade: websocket."
    return HttpResponse(f"{sentence}\n", status=426, content_type="text/plain; charset=utf-8")


@require_safe
def own_websocket(request, rest):
    if any(route.pattern.match(request.path_info.lstrip("/")) for route in consumers.patterns()):
        return upgrade_required(request, rest)
    raise Http404("There is nothing at this address.")


@require_safe
def changes_now(request, topic):
    # Sync: one query and a response. Where nothing can be pushed, every open page requests this every few seconds.
    topic = _topic(topic)
    # Not request.user: it is lazy, and can't be evaluated where an async may_follow runs.
    user = get_user(request) if topic.asks_who else None
    if not topic.allows_now(user):
        return _forbidden(topic)
    try:
        position = _position(request)
    except ValueError as error:
        return _bad_request(error)
    reading = (get_language(), position, user if topic.per_viewer else None)
    return _answer(request, topic, changes.after(topic, {reading})[reading])


@require_safe
async def wait_for_changes(request, topic):
    # Async: a waiting page must not occupy a thread.
    topic = _topic(topic)
    visitor = await _visitor(request, topic)
    if not await topic.allows(visitor and visitor.user):
        return _forbidden(topic)
    try:
        position = _position(request)
        wait = _wait(request)
    except ValueError as error:
        return _bad_request(error)
    reading = (get_language(), position, visitor.user if topic.per_viewer else None)
    # Each read returns its connection to the pool before the wait.
    message = (await database_sync_to_async(changes.after)(topic, {reading}))[reading]
    if wait and message and not message.news:
        try:
            async with asyncio.timeout(wait):
                with follow(topic, get_language(), message.position, visitor) as waiting:
                    while not message.news:
                        message = await waiting.next()
        except Gone:
            message = None
        except Forbidden:
            return _forbidden(topic)
        except (TimeoutError, Stopping):
            pass
    return _answer(request, topic, message)


@require_safe
async def events(request, topic):
    # Async: the stream stays open as long as the page does.
    topic = _topic(topic)
    visitor = await _visitor(request, topic)
    if not await topic.allows(visitor and visitor.user):
        return _forbidden(topic)
    try:
        # A browser that resumes a stream repeats its first URL, and sends its position in the header.
        position = _position(request, request.headers.get("Last-Event-ID"))
    except ValueError as error:
        return _bad_request(error)
    stream = _stream(topic, get_language(), position, visitor)
    headers = {"Cache-Control": "private, no-store" if topic.asks_who else "no-cache", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(stream, content_type="text/event-stream", headers=headers)


async def _stream(topic, language, position, visitor):
    try:
        with follow(topic, language, position, visitor) as reader:
            while True:
                message = await reader.next()
                yield f"id: {message.position}\ndata: {message.text}\n\n"
    except Gone:
        # EventSource sees neither the status code nor the reason for the end.
        yield "event: reload\ndata:\n\n"
    except Forbidden:
        yield "event: forbidden\ndata:\n\n"
    except Stopping:
        pass


def _topic(name):
    if topic := topics.find(name):
        return topic
    raise Http404(f"There is no topic {name!r}.")


async def _visitor(request, topic):
    return audience.Visitor(request.session.session_key, await request.auser()) if topic.asks_who else None


def _forbidden(topic):
    # Django logs the URL.
    return JsonResponse({"error": f"You may not follow {topic.name!r}."}, status=403)


def _position(request, last_event_id=None):
    return changes.parse(last_event_id or request.GET.get("after"))


def _wait(request):
    wait = request.GET.get("wait", "0")
    if not (wait.isascii() and wait.isdigit() and len(wait) <= 2 and int(wait) <= MAX_WAIT):
        raise ValueError(f"wait={wait[:20]!r} is not a number of seconds from 0 to {MAX_WAIT}.")
    return int(wait)


def _bad_request(error):
    return JsonResponse({"error": str(error)}, status=400)


def _answer(request, topic, message):
    if message is None:
        sentence = "These changes are no longer available one by one. Reload the page."
        return JsonResponse({"error": sentence}, status=410)
    response = HttpResponse(message.text, content_type="application/json")
    # Tells a polling page that a better transport is available, for example after a switch to another mode.
    response.headers["Live-Transports"] = " ".join(settings.LIVE_TRANSPORTS)
    patch_vary_headers(response, ["Accept-Language", "Cookie"])
    if topic.asks_who:
        # Caches must not keep it for other visitors. "identity" tells Nginx not to compress it: the length would reveal
        # secrets (BREACH).
        response.headers["Cache-Control"] = "private, no-store"
        response.headers["Content-Encoding"] = "identity"
        return response
    response.headers["Cache-Control"] = "no-cache"
    etag = f'W/"{message.position}-{message.news}-{get_language()}"'
    response.headers["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=response)
