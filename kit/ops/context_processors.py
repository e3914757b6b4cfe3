from django.conf import settings


def server(request):
    """What served this page, for the footer: `server_mode` (wsgi, asgi, hybrid), `server_interface` (WSGI, ASGI)."""
    return {"server_mode": settings.SERVER_MODE, "server_interface": settings.SERVER_INTERFACE}
