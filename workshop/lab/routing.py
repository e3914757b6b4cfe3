"""The WebSockets of the lab. They lie below /live/, because Nginx sends exactly that to the server that has them."""

from channels.security.websocket import OriginValidator
from django.conf import settings
from django.urls import path

from .consumers import Echo, Group


class OurPages(OriginValidator):
    """Channels' check of the Origin. A client without one is no browser: it can't be led here by a foreign page."""

    def valid_origin(self, parsed_origin):
        return parsed_origin is None or super().valid_origin(parsed_origin)


def _route(name, consumer):
    return path(f"live/lab/{name}", OurPages(consumer.as_asgi(), settings.ALLOWED_HOSTS))


routes = [_route("echo", Echo), _route("channels", Group)]
