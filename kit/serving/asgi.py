import asyncio

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core import asgi
from django.urls import path, re_path

from .static import StaticFiles
from .threads import Threads


class Application(ProtocolTypeRouter):
    def __init__(self, mapping, threads):
        super().__init__(mapping)
        self.threads = threads

    def start(self):
        """Called by the worker on its event loop, before the first request."""
        if not settings.STOCK_ASGI:
            self.threads.serve_tasks_of(asyncio.get_running_loop())

    async def stop(self):
        """Called by the worker when it begins to stop."""
        from kit.live import hub

        await hub.stop()


def get_asgi_application(websocket_routes=()):
    """Django with the live pages of kit.live, and with WebSockets of your own: `websocket_routes` are paths to ASGI
    applications (Channels' consumers). They begin with live/, which is what Nginx sends to the server that has them."""
    # First: it loads the applications, and what follows imports their models.
    http = asgi.get_asgi_application()
    from kit.live.sockets import nowhere, socket

    from .handler import Handler

    threads = Threads(settings.THREADS)
    websocket = URLRouter(
        [
            path("live/<slug:topic>/ws", socket),
            *websocket_routes,
            # The last: Channels raises where no route fits, and any stranger can ask for anything.
            re_path("", nowhere),
        ]
    )
    if not settings.STOCK_ASGI:
        http, websocket = Handler(threads), threads.around(websocket)
    return Application({"http": StaticFiles(http), "websocket": websocket}, threads)
