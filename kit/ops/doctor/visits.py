"""What serves, asked from inside of the slot that serves: its servers, and through Nginx what a visitor asks for."""

import json
from collections.abc import Callable, Iterator
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from kit.ops import health
from kit.ops.visitor import PORTS, Visitor, Wrong

from .certificate import certificate
from .findings import Finding, broken, ok, warning

NGINX = "nginx"
PORT_OF_SERVERS = 8000
# Seconds after which a server that is asked directly counts as hanging.
PATIENCE = 5
# A certificate is renewed when it has about a month.
DAYS_LEFT = 14
INSTEAD_OF_THE_SITE = "Browsers show a warning instead of the site."


def check_servers() -> Iterator[Finding]:
    """Each server directly, without Nginx."""
    for service in settings.SERVICES:
        name = f"{service}-{settings.SLOT}"
        server = Visitor(name, PORT_OF_SERVERS, tls=False, timeout=PATIENCE)
        try:
            status = server.ask(health.LIVE).status
        except Wrong as error:
            yield broken(
                f"The server {name} hangs, or is gone: {error}",
                "Nginx has nobody to send its visitors to: they wait, and then get 502 or 504.",
                f"docker compose restart {name}; its last lines may say why: docker compose logs --tail 50 {name}",
            )
            return
        if status != 200:
            yield broken(
                f"The server {name} answers {health.LIVE} with {status}.",
                "It may not be this project that runs there.",
                "make release",
            )
            return
    yield ok(f"{' and '.join(settings.SERVICES)} of {settings.SLOT} answer")


def check_nginx() -> Iterator[Finding]:
    """Through Nginx: is it this slot that answers, in this mode, and does Django see what was asked?"""
    try:
        answer = Visitor(NGINX).ask(health.READY, **{health.PROOF_HEADER: health.proof()})
    except Wrong as error:
        yield broken(
            f"Nginx does not answer: {error}",
            "Nobody reaches the site.",
            "docker compose up --detach --wait nginx; if it does not start: docker compose logs --tail 20 nginx",
        )
        return
    try:
        answered = json.loads(answer.text)
        served = answered["slot"], answered["mode"]
    except (ValueError, LookupError, TypeError):
        yield broken(
            f"Nginx answers {health.READY} with {answer.status}, and not with what the servers say.",
            "It does not reach them: visitors get an error page.",
            f"make up-{settings.SERVER_MODE}",
        )
        return
    if served != (settings.SLOT, settings.SERVER_MODE):
        yield broken(
            f"Nginx sends visitors to {served[0]} in {served[1]} mode, and not to {settings.SLOT} in "
            f"{settings.SERVER_MODE} mode.",
            "What is served is not what .env says and was released last.",
            f"make up-{settings.SERVER_MODE}",
        )
        return
    wrong = list(_as_django_sees_it(answered.get("request"), answer.asked_from))
    yield from wrong or [
        ok(f"{settings.SLOT} in {settings.SERVER_MODE} mode; Django sees scheme, host and client as they are")
    ]


def _as_django_sees_it(request: dict | None, asked_from: str) -> Iterator[Finding]:
    site = urlsplit(settings.SITE_URL)
    if request is None:
        yield broken(
            "The servers have another SECRET_KEY than this container.",
            "It was changed after they had started: with the next restart everybody is signed out.",
            "make release",
        )
        return
    expected = {"scheme": site.scheme, "host": site.netloc, "client": asked_from}
    reasons = {
        "scheme": "Redirects, secure cookies and the check of a form's origin follow from the scheme.",
        "host": "Links, redirects and the check of a form's origin follow from the host.",
        "client": "Limits and logs that go by the address take all visitors for one, or believe what a client claims.",
    }
    for name, value in expected.items():
        if request[name] != value:
            yield broken(
                f"Django sees {name}={request[name]}, where it is {value}.",
                reasons[name],
                "Have nginx/snippets/proxy.conf overwrite what it passes on, and servers believe nobody but Nginx; "
                "then make release",
            )


def check_dependencies() -> Iterator[Finding]:
    """Can the servers that run use what can be used with the settings of now?"""
    for name, state in json.loads(Visitor(NGINX).ask(health.READY).text)["dependencies"].items():
        if state == "ok":
            yield ok(f"the servers reach {name}")
        else:
            yield broken(
                f"The servers that run can't use {name}: {state}.",
                "With what .env and secrets/ say now it can be used: they were started with something else.",
                "make release",
            )


def check_page() -> Iterator[Finding]:
    yield from _visit(
        Visitor.check_page,
        "Visitors see an error, or a page without its style and scripts.",
        f"docker compose logs --tail 50 web-{settings.SLOT}; if only files are missing: make release",
    )


def check_csrf() -> Iterator[Finding]:
    yield from _visit(
        Visitor.check_csrf,
        "Nobody can sign in, or post anything; or anybody can make a visitor post.",
        "Set SITE_URL in .env to the address that visitors see, then make release",
    )


def check_websocket() -> Iterator[Finding]:
    yield from _visit(
        Visitor.check_live,
        "Open pages learn of a change some seconds later, or Nginx sends /live/ where this mode has no server.",
        f"make up-{settings.SERVER_MODE}",
    )


def check_certificate() -> Iterator[Finding]:
    for site in _public():
        if site.scheme == "https":
            yield _certificate_of(site)


def _public() -> Iterator[SplitResult]:
    """The addresses of the site, but for names of this machine alone."""
    own = {host.strip("[]") for host in settings.LOOPBACK_HOSTS}
    return (site for site in map(urlsplit, settings.SITE_URLS) if site.hostname not in own)


def _certificate_of(site: SplitResult) -> Finding:
    """The one that visitors are shown, or, where the public address can't be reached from here, Nginx's own."""
    addresses = [(site.hostname, site.port or 443)]
    if not settings.TRUSTED_PROXIES:
        addresses.append((NGINX, PORTS["https"]))
    look = "docker compose logs --tail 50 certificates says why it was not issued or renewed"
    for host, port in addresses:
        try:
            found = certificate(host, port, site.hostname, PATIENCE)
            break
        except OSError as error:
            reason = error
    else:
        return broken(f"Nothing answers https for {site.netloc}: {reason}.", "Browsers show an error.", look)
    if found.fault:
        return broken(f"The certificate of {site.netloc} {found.fault}.", INSTEAD_OF_THE_SITE, look)
    if found.distrust:
        return broken(
            f"No browser trusts the certificate of {site.netloc}: {found.distrust}.", INSTEAD_OF_THE_SITE, look
        )
    if found.days < DAYS_LEFT:
        return warning(
            f"The certificate of {site.netloc} is good for {found.days:.0f} more days.",
            "It should have been renewed by now; when it ends, browsers show a warning instead of the site.",
            look,
        )
    return ok(f"that of {site.netloc} is good for {found.days:.0f} more days")


def check_public() -> Iterator[Finding]:
    """Do the addresses of SITE_URL lead here?"""
    for site in _public():
        yield _leads_here(site)


def _leads_here(site: SplitResult) -> Finding:
    tls = site.scheme == "https"
    visitor = Visitor(site.hostname, site.port or (443 if tls else 80), tls=tls, site=site.geturl(), timeout=PATIENCE)
    try:
        answer = visitor.ask(health.READY, **{health.PROOF_HEADER: health.proof()})
    except Wrong as error:
        return warning(
            f"{site.geturl()} can't be reached from here: {error}",
            "Some networks let no machine reach itself by its public address. If visitors can't either, it is the name "
            "server, a firewall or a port.",
            f"Try it from another machine: curl -i {site.geturl()}{health.READY}",
        )
    try:
        # Only who knows SECRET_KEY takes the proof for one.
        arrived = "request" in json.loads(answer.text)
    except ValueError:
        arrived = False
    if arrived:
        return ok(f"{site.geturl()} leads here")
    return broken(
        f"{site.geturl()} leads to another server, which answers {health.READY} with {answer.status}.",
        "Visitors get there what is not this site.",
        "Have the name server point to this machine, or correct SITE_URL in .env",
    )


def _visit(check: Callable[[Visitor], str], why: str, mend: str) -> Iterator[Finding]:
    try:
        yield ok(check(Visitor(NGINX)))
    except Wrong as error:
        yield broken(str(error), why, mend)
