"""What Nginx has to know of SITE_URL, TRUSTED_PROXIES and HTTP3, as the files that nginx/server.conf includes."""

from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand

HSTS = f"max-age={365 * 24 * 3600}"
# Load balancers keep idle connections, some for 600 s. Nginx must not be the one that closes them: a request that is on
# its way down one would be answered 502.
KEPT_FOR_PROXIES = 620


class Command(BaseCommand):
    help = "Writes the parts of Nginx's configuration that follow from the site's address into a folder."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("folder", type=Path)

    def handle(self, *, folder, **options):
        folder.mkdir(exist_ok=True)
        for name, lines in {"client_address": client_address(), "site": site(), "unknown_host": unknown_host()}.items():
            (folder / f"{name}.conf").write_text("".join(f"{line}\n" for line in lines))


def is_https():
    return urlsplit(settings.SITE_URL).scheme == "https"


def client_address():
    """For the http block: where they come from, by which scheme, and under which address they ought to be."""
    networks = settings.TRUSTED_PROXIES
    return [
        *(f"set_real_ip_from {network};" for network in networks),
        "real_ip_header X-Forwarded-For;",
        "real_ip_recursive on;",
        *block("geo $realip_remote_addr $from_trusted_proxy", ["default 0", *(f"{network} 1" for network in networks)]),
        *block(
            "map $from_trusted_proxy:$http_x_forwarded_proto $client_scheme",
            ["default $scheme", "1:http http", "1:https https"],
        ),
        *block(
            'map "$under_any_address $client_scheme://$host" $elsewhere',
            ['default ""', *(f'"0 {address}" {settings.SITE_URL}' for address in elsewhere())],
        ),
        # Django says it too, in what it answers; and twice is an error.
        *block(
            "map $client_scheme:$upstream_http_strict_transport_security $hsts",
            ['default ""', *([f"https: {HSTS}"] if is_https() else [])],
        ),
    ]


def elsewhere():
    """Every scheme and host from which visitors are sent on to the first address of SITE_URL."""
    canonical = urlsplit(settings.SITE_URL)
    own = settings.LOOPBACK_HOSTS if canonical.hostname in settings.LOOPBACK_HOSTS else [settings.ALLOWED_HOSTS[0]]
    for host in settings.ALLOWED_HOSTS:
        if is_https():
            yield f"http://{host}"
        if host not in own:
            yield f"{canonical.scheme}://{host}"


def site():
    """For the server of the site: its names, and where it listens for https."""
    names = [f"server_name {' '.join(settings.ALLOWED_HOSTS)};", *keepalive()]
    if not is_https():
        return names
    port = urlsplit(settings.SITE_URL).port or 443
    http3 = ["listen 8443 quic;", f"add_header Alt-Svc 'h3=\":{port}\"; ma=86400';"] if settings.HTTP3 else []
    hsts = "add_header Strict-Transport-Security $hsts always;"
    return [*names, "listen 8443 ssl;", *http3, hsts, "include snippets/certificate.conf;"]


def unknown_host():
    """For the server that everybody else gets: no certificate, so not even its names are told."""
    if not is_https():
        return keepalive()
    http3 = ["listen 8443 quic reuseport default_server;"] if settings.HTTP3 else []
    return [*keepalive(), "listen 8443 ssl default_server;", *http3, "ssl_reject_handshake on;"]


def keepalive():
    return [f"keepalive_timeout {KEPT_FOR_PROXIES}s;"] if settings.TRUSTED_PROXIES else []


def block(head, lines):
    return [f"{head} {{", *(f"    {line};" for line in lines), "}"]
