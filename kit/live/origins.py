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
    # Browsers send nothing before the host, and nothing behind the port.
    return "@" not in origin and origin.count("/") == 2 and (scheme, host, port) in _ours()


def _ours():
    for scheme, host, port in map(_parts, settings.SITE_URLS):
        loopback = host in _loopback_hosts()
        yield from ((scheme, name, port) for name in (_loopback_hosts() if loopback else [host]))


def _loopback_hosts():
    return [host.strip("[]") for host in settings.LOOPBACK_HOSTS]


def _parts(origin: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(origin)
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
