import asyncio
import os

from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wisheasy.settings")

# First: it loads the applications, and what follows imports their models.
stock_application = get_asgi_application()

from apps.live import hub  # noqa: E402
from apps.live.routing import websocket_application  # noqa: E402
from apps.live.sockets import nowhere  # noqa: E402
from wisheasy.serving.handler import Handler  # noqa: E402
from wisheasy.serving.static import StaticFiles  # noqa: E402
from wisheasy.serving.threads import Threads  # noqa: E402

# only with lab
if settings.LAB:
    from apps.lab import routing as lab

    websocket_application.routes += lab.routes
# end of lab
# The last: Channels raises where no route fits, and any stranger can ask for anything.
websocket_application.routes.append(re_path("", nowhere))

threads = Threads(settings.SERVER.threads)


class Application(ProtocolTypeRouter):
    def start(self):
        """Called by the worker on its event loop, before the first request."""
        if not settings.SERVING_STOCK:
            threads.serve_tasks_of(asyncio.get_running_loop())

    async def stop(self):
        """Called by the worker when it begins to stop."""
        await hub.stop()


if settings.SERVING_STOCK:
    http, websocket = stock_application, websocket_application
else:
    http, websocket = Handler(threads), threads.around(websocket_application)
application = Application({"http": StaticFiles(http), "websocket": websocket})
