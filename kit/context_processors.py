from django.conf import settings


def serving(request):
    """How the page is served: `server_mode` (wsgi, asgi, hybrid) and `server_interface` (WSGI, ASGI). And what it may
    try to stay live, best first, separated by spaces: `live_transports`."""
    return {
        "server_mode": settings.SERVER_MODE,
        "server_interface": settings.SERVER_INTERFACE,
        "live_transports": " ".join(settings.LIVE_TRANSPORTS),
    }
