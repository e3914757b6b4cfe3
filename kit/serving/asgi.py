import asyncio
from contextlib import nullcontext

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core import asgi
from django.urls import path, re_path

from . import bodies, head, replaced
from .static import StaticFiles
from .threads import Threads

# Those of this process, for all that it serves.
_threads = None if settings.STOCK_ASGI else Threads(settings.THREADS)


def get_asgi_application():
    """Django, its static files, the live pages of kit.live, and the project's own WebSockets."""
    # First: it loads the applications, and what follows imports their models. Django's own is called: a tracer may have
    # put something around it.
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
                    # The last: Channels raises where no route fits, and a stranger can ask for anything.
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
    """Django has nothing to do at a start or an end. An application beside it may, and then takes these in asgi.py."""
    while (kind := (await receive())["type"]) != "lifespan.shutdown":
        await send({"type": f"{kind}.complete"})
    await send({"type": f"{kind}.complete"})


# --- What the worker calls. Of `application` in asgi.py it asks nothing but to be called. ---


def start(application):
    """On the worker's event loop, before the first request: `application` as it is served, with the sync work of each
    connection on the bounded threads, whatever else asgi.py has put around or beside Django."""
    application = head.asgi(application)
    if _threads:
        _threads.serve_tasks_of(asyncio.get_running_loop())
        application = _threads.around(application)
    return application


async def stop():
    """When the worker begins to stop: an open stream or a long poll would hold it until the timeout."""
    from kit.live import audience

    await audience.stop()
