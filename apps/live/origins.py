from urllib.parse import urlsplit

from django.conf import settings


def is_our_origin(origin: str) -> bool:
    """Is the page that opens the connection one of this site? A request without an Origin comes from no page at all:
    browsers always send one with a WebSocket."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    ours = urlsplit(settings.SITE_URL)
    return parts.hostname in {host.strip("[]") for host in settings.ALLOWED_HOSTS} and (
        parts.scheme,
        port,
    ) == (
        ours.scheme,
        ours.port,
    )
