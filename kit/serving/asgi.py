import asyncio
from contextlib import nullcontext

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core import asgi
from django.urls import path, re_path

from . import bodies, head, replaced
from .static import StaticFiles
from .threads import Threads

# This process's threads, for everything that it serves.
_threads = None if settings.STOCK_ASGI else Threads(settings.THREADS)


def get_asgi_application():
    """Django with static files, the live pages of kit.live and the project's own WebSockets."""
    # First, because it loads the applications, whose models later imports need. It calls Django's own function,
    # whose handler a tracer may have wrapped.
    with replaced(asgi, ASGIHandler=_handler) if _threads else nullcontext():
        http = asgi.get_asgi_application()
    from kit.live import consumers
    from kit.live.sockets import nowhere, socket

    return ProtocolTypeRouter(
        {
            "http": StaticFiles(bodies.asgi(http)),
            "websocket": URLRouter(
                [
                    *consumers.routes(),
                    path("live/<path:topic>/ws", socket),
                    # Last: Channels raises if no route matches, which any client could cause.
                    re_path("", nowhere),
                ]
            ),
            "lifespan": _lifespan,
        }
    )


def _handler():
    from .handler import Handler

    return Handler(_threads)


async def _lifespan(scope, receive, send):
    """Django does nothing at startup and shutdown. An application beside it can take these in asgi.py."""
    while (kind := (await receive())["type"]) != "lifespan.shutdown":
        await send({"type": f"{kind}.complete"})
    await send({"type": f"{kind}.complete"})


# --- Called by the worker, which only calls `application` in asgi.py ---


def start(application):
    """Called on the worker's event loop before the first request. Returns `application` as served: the sync work of
    each connection runs on the bounded threads, whatever asgi.py has wrapped around Django or put beside it."""
    application = head.asgi(application)
    if _threads:
        _threads.serve_tasks_of(asyncio.get_running_loop())
        application = _threads.around(application)
    return application


async def stop():
    """Called when the worker begins to stop: open streams and long polls would hold it until the timeout."""
    from kit.live import audience

    await audience.stop()
