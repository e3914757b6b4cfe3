"""Whose word the servers take, and under WSGI what Uvicorn does by itself under ASGI: behind a proxy that is believed,
REMOTE_ADDR is the visitor's."""

from ipaddress import ip_address, ip_network


class Proxies:
    """Those that are believed. `trusted` is "*" or networks with commas between them, as Gunicorn's
    forwarded_allow_ips; without any, nobody is."""

    def __init__(self, trusted: str | None):
        self.all_trusted = trusted == "*"
        self.networks = [] if self.all_trusted or not trusted else [ip_network(each) for each in trusted.split(",")]

    def trusts(self, address: str) -> bool:
        if self.all_trusted:
            return True
        try:
            return any(ip_address(address) in network for network in self.networks)
        except ValueError:
            return False


class ClientAddress:
    """A WSGI application around another, for the proxies that `trusted` names."""

    def __init__(self, application, trusted: str):
        self.application = application
        self.proxies = Proxies(trusted)

    def __call__(self, environ, start_response):
        claimed = environ.get("HTTP_X_FORWARDED_FOR")
        if claimed and self.proxies.trusts(environ["REMOTE_ADDR"]):
            environ["REMOTE_ADDR"] = self.client(claimed.split(","))
        return self.application(environ, start_response)

    def client(self, claimed: list[str]) -> str:
        """Each proxy adds at the end whom it has seen: the last who is no trusted proxy, or else the first."""
        for address in map(str.strip, reversed(claimed)):
            if not self.proxies.trusts(address):
                return address
        return claimed[0].strip()
