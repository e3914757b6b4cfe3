from django.conf import settings


def serving(request):
    """`server_mode` (wsgi, asgi, hybrid), `server_interface` (WSGI, ASGI) and `live_transports`: the transports a page
    may try, best first, separated by spaces."""
    return {
        "server_mode": settings.SERVER_MODE,
        "server_interface": settings.SERVER_INTERFACE,
        "live_transports": " ".join(settings.LIVE_TRANSPORTS),
    }
