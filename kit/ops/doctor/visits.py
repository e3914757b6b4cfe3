"""Checks of the active slot, from inside it: each server directly, and visitors' requests through Nginx."""

import json
from urllib.parse import urlsplit

from django.conf import settings

from kit.ops import health
from kit.ops.visitor import PORTS, Visitor, Wrong

from . import broken, ok, warning
from .certificate import certificate

NGINX = "nginx"
PORT_OF_SERVERS = 8000
# Seconds after which a server counts as hanging.
PATIENCE = 5
# Certificates are renewed about a month before they expire.
DAYS_LEFT = 14
# Why Django has to see each of these correctly.
SEEN = {
    "scheme": "Redirects, secure cookies and the check of a form's origin follow from the scheme.",
    "host": "Links, redirects and the check of a form's origin follow from the host.",
    "client": "Limits and logs by address treat all visitors as one, or believe a client's claim.",
}


def check_servers():
    """Asks each server directly, without Nginx."""
    for service in settings.SERVICES:
        name = f"{service}-{settings.SLOT}"
        try:
            status = Visitor(name, PORT_OF_SERVERS, tls=False, timeout=PATIENCE).ask(health.LIVE).status
        except Wrong as error:
            yield broken(
                f"The server {name} does not answer: {error}",
                "Visitors wait, and then get 502 or 504.",
                f"docker compose restart {name}; its last lines may say why: docker compose logs --tail 50 {name}",
            )
            return
        if status != 200:
            what = f"The server {name} answers {health.LIVE} with {status}."
            yield broken(what, "Another program may run there.", "make release")
            return
    yield ok(f"{' and '.join(settings.SERVICES)} of {settings.SLOT} answer")


def _ready(visitor):
    """The answer to a readiness request that proves we know SECRET_KEY, and its JSON, or {} if it has none."""
    answer = visitor.ask(health.READY, **{health.PROOF_HEADER: health.proof()})
    try:
        said = json.loads(answer.text)
    except ValueError:
        said = {}
    return answer, said if isinstance(said, dict) else {}


def check_nginx():
    """Does Nginx reach this slot in this mode, and does Django see scheme, host and client correctly?"""
    slot, mode = settings.SLOT, settings.SERVER_MODE
    try:
        answer, said = _ready(Visitor(NGINX))
    except Wrong as error:
        start = "docker compose up --detach --wait nginx; if it does not start: docker compose logs --tail 20 nginx"
        yield broken(f"Nginx does not answer: {error}", "The site can't be reached.", start)
        return
    if not {"slot", "mode"} <= said.keys():
        what = f"Nginx answers {health.READY} with {answer.status}, and not with what the servers say."
        yield broken(what, "It does not reach them, so visitors get an error page.", f"make up-{mode}")
    elif (said["slot"], said["mode"]) != (slot, mode):
        what = f"Nginx sends visitors to {said['slot']} in {said['mode']} mode, and not to {slot} in {mode} mode."
        yield broken(what, "The site serves neither what .env says nor the last release.", f"make up-{mode}")
    elif wrong := list(_as_django_sees_it(said.get("request"), answer.asked_from)):
        yield from wrong
    else:
        yield ok(f"{slot} in {mode} mode; Django sees scheme, host and client as they are")


def _as_django_sees_it(request, asked_from):
    if request is None:
        why = "It was changed after they started: the next restart signs all users out."
        yield broken("The servers have another SECRET_KEY than this container.", why, "make release")
        return
    site = urlsplit(settings.SITE_URL)
    for name, value in {"scheme": site.scheme, "host": site.netloc, "client": asked_from}.items():
        if request[name] != value:
            yield broken(
                f"Django sees {name}={request[name]}, where it is {value}.",
                SEEN[name],
                "Let nginx/snippets/proxy.conf overwrite the headers, and the servers believe only Nginx; then "
                "make release",
            )


def check_dependencies():
    """Can the running servers use the services that work with the current settings?"""
    for name, state in json.loads(Visitor(NGINX).ask(health.READY).text)["dependencies"].items():
        if state == "ok":
            yield ok(f"the servers reach {name}")
        else:
            why = "It works with the current .env and secrets/; the servers were started with other values."
            yield broken(f"The running servers can't use {name}: {state}.", why, "make release")


def check_page():
    why = "Visitors see an error, or a page without its style and scripts."
    logs = f"docker compose logs --tail 50 web-{settings.SLOT}; if only files are missing: make release"
    return _visit(Visitor.check_page, why, logs)


def check_csrf():
    why = "Forms, including sign-in, are refused; or another site can make a visitor post."
    return _visit(Visitor.check_csrf, why, "Set SITE_URL in .env to the address that visitors see, then make release")


def check_websocket():
    why = "Open pages update some seconds late, or Nginx sends /live/ to a server that this mode does not have."
    return _visit(Visitor.check_live, why, f"make up-{settings.SERVER_MODE}")


def _visit(check, why, fix):
    try:
        yield ok(check(Visitor(NGINX)))
    except Wrong as error:
        yield broken(str(error), why, fix)


def _public():
    """The addresses of the site, except names of this machine."""
    own = {host.strip("[]") for host in settings.LOOPBACK_HOSTS}
    return [site for site in map(urlsplit, settings.SITE_URLS) if site.hostname not in own]


def check_certificate():
    return (_certificate_of(site) for site in _public() if site.scheme == "https")


def _certificate_of(site):
    """The certificate that visitors get or, if the public address can't be reached from here, Nginx's own."""
    addresses = [(site.hostname, site.port or 443)]
    if not settings.TRUSTED_PROXIES:
        addresses.append((NGINX, PORTS["https"]))
    look = (
        "docker compose logs --tail 50 certificates says why it was not issued or renewed. If it is your own, "
        "install another one (docs/operations.md)"
    )
    instead = "Browsers show a warning instead of the site."
    for host, port in addresses:
        try:
            found = certificate(host, port, site.hostname, PATIENCE)
            break
        except OSError as error:
            reason = error
    else:
        return broken(f"Nothing answers https for {site.netloc}: {reason}.", "Browsers show an error.", look)
    if found.fault:
        return broken(f"The certificate of {site.netloc} {found.fault}.", instead, look)
    if found.distrust:
        chain = (
            "If its chain is incomplete, install it with the chain (docs/operations.md). Browsers trust neither a "
            "trial authority nor one of your own"
        )
        return broken(f"No browser trusts the certificate of {site.netloc}: {found.distrust}.", instead, chain)
    left = f"{site.netloc} is good for {found.days:.0f} more days"
    if found.days < DAYS_LEFT:
        return warning(
            f"The certificate of {left}.",
            "It should have been renewed by now; when it ends, browsers show a warning instead of the site.",
            look,
        )
    return ok(f"that of {left}")


def check_public():
    """Do the addresses in SITE_URL lead here?"""
    return map(_leads_here, _public())


def _leads_here(site):
    url, tls = site.geturl(), site.scheme == "https"
    visitor = Visitor(site.hostname, site.port or (443 if tls else 80), tls=tls, site=url, timeout=PATIENCE)
    try:
        answer, said = _ready(visitor)
    except Wrong as error:
        return warning(
            f"{url} can't be reached from here: {error}",
            "In some networks a machine can't reach its own public address. If visitors can't either, check DNS, "
            "firewall and ports.",
            f"Try it from another machine: curl -i {url}{health.READY}",
        )
    # Only a server that knows SECRET_KEY accepts the proof.
    if "request" in said:
        return ok(f"{url} leads here")
    return broken(
        f"{url} leads to another server, which answers {health.READY} with {answer.status}.",
        "Visitors see another site.",
        "Point the domain at this machine, or correct SITE_URL in .env",
    )
