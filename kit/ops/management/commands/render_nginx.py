"""Renders the settings that Nginx needs, and its error pages, into the copy of nginx/ that docker/nginx_files makes."""

import json
import socket
import tomllib
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse
from django.utils.html import strip_tags

HSTS = f"max-age={365 * 24 * 3600}"
# Load balancers keep idle connections, some for 600 s. Nginx must not close them first, or requests already on their
# way get a 502.
KEPT_FOR_PROXIES = 620
# The number of request bodies that Nginx buffers at once for one client, each up to LIMIT_UPLOAD.
BODIES = 10
# The waiting room's port for each service (docker/wait.py).
WAITING_ROOM = {"web": 8001, "live": 8002}

# django-allauth's forms that let a password or code be guessed, and those that send mail.
GUESSED = (
    *("account_reauthenticate", "account_change_password", "account_confirm_login_code"),
    *("account_confirm_reauthentication_code", "account_confirm_password_reset_code"),
    *("account_email_verification_sent", "mfa_authenticate", "mfa_reauthenticate"),
)
MAILED = (
    *("account_reset_password", "account_email"),
    *("account_request_login_code", "account_request_reauthentication_code"),
)


class Command(BaseCommand):
    help = "Writes what follows from the settings, and the error pages, into a copy of nginx/."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("folder", type=Path)

    def handle(self, *, folder, **options):
        rendered, errors = folder / "rendered", folder / "errors"
        rendered.mkdir()
        for part in (upstreams, client_address, limits, site, unknown_host):
            (rendered / f"{part.__name__}.conf").write_text("".join(f"{line}\n" for line in part()))
        errors.mkdir()
        for name, text in error_pages(folder):
            (errors / name).write_text(text)


def block(head, lines):
    return [f"{head} {{", *(f"    {line};" for line in lines), "}"]


# --- Servers behind Nginx ---


def upstreams():
    """For the http block: the servers for `pages` and `live` in this mode and slot.

    The waiting room repeats a read that a dying worker leaves unanswered, on a new connection and as soon as there is a
    server: Nginx doesn't ask the same server twice if it is listed once. Nginx closes idle connections first, because
    the servers keep them longer (kit/serving/timeouts.py).
    """
    for role, service in {"pages": settings.SERVICES[0], "live": settings.SERVICES[-1]}.items():
        name = f"{role}_{settings.SLOT}"
        yield from block(
            f"upstream {name}",
            [
                f"zone {name} 64k",
                f"server {service}-{settings.SLOT}:8000 resolve max_fails=0",
                f"server waiting-room:{WAITING_ROOM[service]} resolve max_fails=0 backup",
                "keepalive 32",
                "keepalive_timeout 60s",
                "keepalive_requests 10000",
            ],
        )


# --- The site's address ---


def is_https():
    return urlsplit(settings.SITE_URL).scheme == "https"


def client_address():
    """For the http block: visitors' addresses, their scheme, and redirects to the canonical address."""
    networks = settings.TRUSTED_PROXIES
    return [
        *(f"set_real_ip_from {network};" for network in networks),
        "real_ip_header X-Forwarded-For;",
        "real_ip_recursive on;",
        *block("geo $realip_remote_addr $from_trusted_proxy", ["default 0", *(f"{network} 1" for network in networks)]),
        *block(
            "map $from_trusted_proxy:$http_x_forwarded_proto $client_scheme",
            ["default $scheme", f'"{first("http|ws")}" http', f'"{first("https|wss")}" https'],
        ),
        *block(
            'map "$under_any_address $client_scheme://$host" $elsewhere',
            ['default ""', *(f'"0 {address}" {settings.SITE_URL}' for address in elsewhere())],
        ),
        # Django sends the header too, and it must not appear twice.
        *block(
            "map $client_scheme:$upstream_http_strict_transport_security $hsts",
            ['default ""', *([f"https: {HSTS}"] if is_https() else [])],
        ),
    ]


def first(schemes):
    """The first value counts, as in Django. Some proxies send the scheme of a WebSocket."""
    return rf"~*^1:\s*({schemes})\s*(,|$)"


def elsewhere():
    """The schemes and hosts that redirect to the first address of SITE_URL."""
    canonical = urlsplit(settings.SITE_URL)
    own = settings.LOOPBACK_HOSTS if canonical.hostname in settings.LOOPBACK_HOSTS else [settings.ALLOWED_HOSTS[0]]
    for host in settings.ALLOWED_HOSTS:
        if is_https():
            yield f"http://{host}"
        if host not in own:
            yield f"{canonical.scheme}://{host}"


def site():
    """For the site's server block: its names, and its ports for https."""
    names = [f"server_name {' '.join(settings.ALLOWED_HOSTS)};", *listen("8080"), *keepalive()]
    if not is_https():
        return names
    port = urlsplit(settings.SITE_URL).port or 443
    http3 = [*listen("8443 quic"), f"add_header Alt-Svc 'h3=\":{port}\"; ma=86400';"] if settings.HTTP3 else []
    return [
        *names,
        *listen("8443 ssl"),
        "http2 on;",
        *http3,
        # docker/serve_nginx installs it, with OCSP stapling where its authority supports that.
        "ssl_certificate /tmp/certificate/fullchain.pem;",
        "ssl_certificate_key /tmp/certificate/privkey.pem;",
        "include /tmp/certificate/*.conf;",
        "add_header Strict-Transport-Security $hsts always;",
    ]


def unknown_host():
    """For the server block of unknown hosts: no certificate, which would reveal the site's names."""
    anywhere = [*listen("8080 default_server"), *keepalive()]
    if not is_https():
        return anywhere
    http3 = listen("8443 quic reuseport default_server") if settings.HTTP3 else []
    return [*anywhere, *listen("8443 ssl default_server"), *http3, "ssl_reject_handshake on;"]


def listen(port):
    """Leave IPv6 out if the kernel has none, or Nginx would not start."""
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return [f"listen {port};"]
    return [f"listen {port};", f"listen [::]:{port};"]


def keepalive():
    return [f"keepalive_timeout {KEPT_FOR_PROXIES}s;"] if settings.TRUSTED_PROXIES else []


# --- Limits ---


def limits():
    """For the http block. nginx/snippets/limits.conf defines which requests count, and for which client."""
    yield f"client_max_body_size {settings.LIMIT_UPLOAD}m;"
    yield from counted("sign_in", settings.LOGIN_URL, "admin:login", *GUESSED)
    yield from counted("sign_up", getattr(settings, "SIGN_UP_URL", "account_signup"), *MAILED)
    # The rate, its unit, and the burst as a multiple of it.
    rates = {
        "pages": (settings.LIMIT_PAGES, "r/s", 5),
        # A stopping server makes all pages of an office reconnect at once.
        "live": (settings.LIMIT_LIVE, "r/s", 5),
        "sign_in": (settings.LIMIT_SIGN_IN, "r/m", 2),
        "sign_up": (settings.LIMIT_SIGN_UP, "r/m", 2),
    }
    for name, (rate, unit, at_once) in rates.items():
        if rate:
            yield f"limit_req_zone ${name}_client zone={name}:2m rate={rate}{unit};"
            yield f"limit_req zone={name} burst={rate * at_once} nodelay;"
    # Defined even if it limits nothing, for a location in site.d/.
    yield "limit_conn_zone $body_client zone=bodies:2m;"
    # Live connections count separately, so that a client with too many can still load a page.
    if settings.LIMIT_CONNECTIONS:
        for name in ("pages", "live"):
            yield f"limit_conn_zone ${name}_client zone={name}_connections:2m;"
            yield f"limit_conn {name}_connections {settings.LIMIT_CONNECTIONS};"
        yield f"limit_conn bodies {BODIES};"


def counted(name, *urls):
    """A map to the client for POST requests to these URLs or URL names."""
    paths = (path_of(url) for url in urls)
    lines = [f'"POST {path}" $client' for path in paths if path]
    return block(f'map "$request_method $uri" ${name}_client', ["default ''", *lines])


def path_of(url):
    try:
        # Without a slash it is a URL name: resolve_url would take an unknown one for a path.
        return resolve_url(url) if url and "/" in url else url and reverse(url)
    except NoReverseMatch:
        # The project has no such form.
        return None


# --- Error pages ---


def error_pages(folder):
    """The name and text of each page in the site's languages, and as JSON for programs."""
    page = Template((folder / "error.html").read_text())
    for name, text in tomllib.loads((folder / "errors.toml").read_text()).items():
        said = {"error": text["en"]["heading"], "detail": strip_tags(text["en"]["text"])}
        yield f"{name}.json", json.dumps(text.pop("json", said)) + "\n"
        languages = [code for code, _ in settings.LANGUAGES if code in text] or ["en"]
        parts = [in_one_language(text[code], "h2" if code != languages[0] else "h1") for code in languages]
        parts[1:] = [
            f'<section lang="{code}">\n{part}\n</section>' for code, part in zip(languages[1:], parts[1:], strict=True)
        ]
        title = " · ".join(text[code]["heading"] for code in languages)
        yield f"{name}.html", page.substitute(language=languages[0], title=title, main="\n".join(parts))


def in_one_language(text, heading):
    link = f'\n<p><a href="{text["href"]}">{text["link"]}</a></p>' if "link" in text else ""
    return f"<{heading}>{text['heading']}</{heading}>\n<p>{text['text']}</p>{link}"
