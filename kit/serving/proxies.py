"""The trusted proxies, and for WSGI what Uvicorn does under ASGI: behind a trusted proxy, REMOTE_ADDR and the scheme
are the visitor's."""

from functools import lru_cache
from ipaddress import ip_address, ip_network


class Proxies:
    """The proxies in `trusted`: "*" or networks with commas between them, as in Gunicorn's forwarded_allow_ips. None
    trusts no proxy."""

    def __init__(self, trusted: str | None):
        self.all_trusted = trusted == "*"
        self.networks = [] if self.all_trusted or not trusted else [ip_network(each) for each in trusted.split(",")]
        # Requests come from the same few proxies. The cache is bounded, because visitors choose X-Forwarded-For.
        self.trusts = lru_cache(100)(self.trusts)

    def trusts(self, address: str) -> bool:
        if self.all_trusted:
            return True
        try:
            return any(ip_address(address) in network for network in self.networks)
        except ValueError:
            return False


PROTO = b"x-forwarded-proto"


def first_scheme(application):
    """Wraps Uvicorn's proxy handling, which reads X-Forwarded-Proto only if it is a single word: keep the first of
    several values, on one line or more, as Django does."""

    async def with_first_scheme(scope, receive, send):
        claimed = [value for name, value in scope.get("headers", ()) if name == PROTO]
        if len(claimed) > 1 or b"," in b"".join(claimed):
            others = (header for header in scope["headers"] if header[0] != PROTO)
            scope["headers"] = [*others, (PROTO, claimed[0].split(b",")[0].strip())]
        await application(scope, receive, send)

    return with_first_scheme


class ClientAddress:
    """WSGI middleware that sets the visitor's address and scheme behind the proxies in `trusted`."""

    def __init__(self, application, trusted: str):
        self.application = application
        self.proxies = Proxies(trusted)

    def __call__(self, environ, start_response):
        if self.proxies.trusts(environ["REMOTE_ADDR"]):
            first = environ.get("HTTP_X_FORWARDED_PROTO", "").split(",")[0].strip()
            if first in ("http", "https"):
                environ["wsgi.url_scheme"] = first
            if claimed := environ.get("HTTP_X_FORWARDED_FOR"):
                environ["REMOTE_ADDR"] = self.client([without_port(each.strip()) for each in claimed.split(",")])
        return self.application(environ, start_response)

    def client(self, claimed: list[str]) -> str:
        """Each proxy appends its client's address: the visitor is the last that is no trusted proxy, else the first."""
        for address in reversed(claimed):
            if not self.proxies.trusts(address):
                return address
        return claimed[0]


def without_port(address: str) -> str:
    """Some load balancers write 203.0.113.7:1234 and [2001:db8::1]:1234."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, _, port = address.partition(":")
    return address if ":" in port else host
