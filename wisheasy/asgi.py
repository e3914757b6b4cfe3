import os

from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wisheasy.settings")

# First: it loads the applications, and what follows imports their models.
django_application = get_asgi_application()

from apps.live import hub  # noqa: E402
from apps.live.routing import websocket_application  # noqa: E402
from wisheasy.serving.static import StaticFiles  # noqa: E402

if settings.LAB:
    from apps.lab import routing as lab

    websocket_application.routes += lab.routes


class Application(ProtocolTypeRouter):
    def stop(self):
        """Called by the worker when it begins to stop."""
        hub.stop()


application = Application({"http": StaticFiles(django_application), "websocket": websocket_application})
