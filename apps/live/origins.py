from urllib.parse import urlsplit

from django.conf import settings

DEFAULT_PORTS = {"http": 80, "https": 443}


def is_our_origin(origin: str) -> bool:
    """Is the page that opens the connection one of this site?

    A request without an Origin comes from no page at all: browsers always send one with a WebSocket.
    """
    try:
        scheme, host, port = _parts(origin)
    except ValueError:
        return False
    hosts = {allowed.strip("[]") for allowed in settings.ALLOWED_HOSTS}
    our_scheme, _, our_port = _parts(settings.SITE_URL)
    return host in hosts and (scheme, port) == (our_scheme, our_port)


def _parts(origin: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(origin)
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
