"""The same changes over plain HTTP: as an event stream, by polling, and by long polling."""

import asyncio

from channels.db import database_sync_to_async
from django.conf import settings
from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from . import changes, consumers
from .hub import Gone, Stopping, hub
from .topics import TOPICS

# Seconds a long poll may be held: less than proxies on the way allow an answer to take.
MAX_WAIT = 25


@require_safe
def upgrade_required(request, topic):
    """426: what this address needs, another server has, or the request did not ask for."""
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
    # Sync: one query and an answer. Where nothing can be pushed, this is what every open page asks every few seconds.
    try:
        position = _position(request, topic)
    except ValueError as error:
        return _bad_request(error)
    reader = (get_language(), position)
    return _answer(request, changes.after(topic, {reader})[reader])


@require_safe
async def wait_for_changes(request, topic):
    # Async: a waiting page must not hold a thread.
    try:
        position = _position(request, topic)
        wait = _wait(request)
    except ValueError as error:
        return _bad_request(error)
    reader = (get_language(), position)
    # Each read has its connection back in the pool before the waiting begins.
    message = (await database_sync_to_async(changes.after)(topic, {reader}))[reader]
    if wait and message and not message.changes:
        try:
            async with asyncio.timeout(wait):
                with hub(topic).reader(get_language(), message.position) as waiting:
                    while not message.changes:
                        message = await waiting.next()
        except Gone:
            message = None
        except (TimeoutError, Stopping):
            pass
    return _answer(request, message)


@require_safe
async def events(request, topic):
    # Async: the stream stays open for as long as the page does.
    try:
        position = _position(request, topic, request.headers.get("Last-Event-ID"))
    except ValueError as error:
        return _bad_request(error)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(
        _stream(topic, get_language(), position), content_type="text/event-stream", headers=headers
    )


async def _stream(topic, language, position):
    try:
        with hub(topic).reader(language, position) as reader:
            while True:
                message = await reader.next()
                yield f"id: {message.position}\ndata: {message.text}\n\n"
    except Gone:
        # EventSource cannot see a status code, nor a reason for the end.
        yield "event: reload\ndata:\n\n"
    except Stopping:
        pass


def _position(request, topic, last_event_id=None):
    if topic not in TOPICS:
        raise Http404(f"There is no topic {topic!r}.")
    # A stream that the browser takes up again says where it was in the header, and repeats its first address.
    return changes.parse(last_event_id or request.GET.get("after"))


def _wait(request):
    wait = request.GET.get("wait", "0")
    if not (wait.isascii() and wait.isdigit() and len(wait) <= 2 and int(wait) <= MAX_WAIT):
        raise ValueError(f"wait={wait[:20]!r} is not a number of seconds from 0 to {MAX_WAIT}.")
    return int(wait)


def _bad_request(error):
    return JsonResponse({"error": str(error)}, status=400)


def _answer(request, message):
    if message is None:
        sentence = "These changes are no longer to be had one by one: load the page anew."
        return JsonResponse({"error": sentence}, status=410)
    response = HttpResponse(message.text, content_type="application/json")
    response.headers["Cache-Control"] = "no-cache"
    # A page that polls learns here that something better is to be had, for example after a switch to another mode.
    response.headers["Live-Transports"] = " ".join(settings.LIVE_TRANSPORTS)
    patch_vary_headers(response, ["Accept-Language", "Cookie"])
    etag = f'W/"{message.position}-{message.changes}-{get_language()}"'
    response.headers["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=response)
