"""System checks: errors that can be detected at start, each with a hint."""

from inspect import iscoroutinefunction, isroutine
from urllib.parse import urlsplit

from channels.routing import URLRouter
from django.conf import settings
from django.core.checks import Error, Tags, Warning, register
from django.db.utils import load_backend
from django.http.request import split_domain_port, validate_host
from django.urls import URLPattern
from django.utils.module_loading import import_string

from kit.serving import modes, not_compared

NO_SERVER = "kit.mail.backend.NoServer"
# Connections reserved for PostgreSQL's superusers, a migration, a backup and a psql session.
RESERVED_CONNECTIONS = 10
DIRECTIVES = {
    "base-uri", "child-src", "connect-src", "default-src", "fenced-frame-src", "font-src", "form-action",
    "frame-ancestors", "frame-src", "img-src", "manifest-src", "media-src", "object-src", "report-to", "report-uri",
    "require-trusted-types-for", "sandbox", "script-src", "script-src-attr", "script-src-elem", "style-src",
    "style-src-attr", "style-src-elem", "trusted-types", "upgrade-insecure-requests", "worker-src",
}  # fmt: skip
# Unquoted, browsers take these for host names (use django.utils.csp.CSP).
KEYWORDS = {"none", "self", "strict-dynamic", "unsafe-eval", "unsafe-hashes", "unsafe-inline", "wasm-unsafe-eval"}


def check(kind, number, tag, *, deploy=False):
    """Make a system check of a function that yields pairs of a message and a hint. With `deploy`, it runs only in
    `check --deploy`."""

    def register_it(find):
        @register(tag, deploy=deploy)
        def found(app_configs, **kwargs):
            return [kind(sentence, hint=hint, id=f"ops.{number}") for sentence, hint in find()]

        found.__name__ = find.__name__
        return found

    return register_it


def _is_https():
    return urlsplit(settings.SITE_URL).scheme == "https"


def _is_local():
    return settings.ALLOWED_HOSTS == settings.LOOPBACK_HOSTS


# --- State that processes must share ---


@check(Error, "E001", Tags.compatibility)
def check_shared_channel_layer():
    """A push must reach pages connected to other processes."""
    if settings.LIVE_TRANSPORTS != ("polling",) and settings.PROCESSES > 1 and not settings.REDIS_URL:
        yield (
            f"SERVER_MODE={settings.SERVER_MODE} with {settings.PROCESSES} processes needs Redis: with the in-memory "
            "channel layer a change made in one process is not pushed to the pages connected to another.",
            "Set REDIS_URL, or run SERVER_MODE=asgi with WEB_CONCURRENCY=1.",
        )


@check(Warning, "W008", Tags.compatibility, deploy=True)
def check_shared_cache():
    backend = settings.CACHES.get("default", {}).get("BACKEND", "")
    if backend.endswith("locmem.LocMemCache") and settings.PROCESSES > 1:
        yield (
            f"The cache is in the memory of each of {settings.PROCESSES} processes: each counts limits for itself, and "
            "keeps keys that another has deleted.",
            "Set CACHE_URL to a Redis (redis://…), or WEB_CONCURRENCY=1.",
        )


@check(Error, "E007", Tags.compatibility)
def check_shared_sessions():
    """Any process may serve a visitor's next request."""
    backend = settings.CACHES.get(settings.SESSION_CACHE_ALIAS, {}).get("BACKEND", "")
    in_memory = settings.SESSION_ENGINE.endswith("backends.cache") and backend.endswith("locmem.LocMemCache")
    if in_memory and settings.PROCESSES > 1:
        yield (
            f"Sessions are in the memory of each of {settings.PROCESSES} processes: visitors are signed out whenever "
            "another one answers.",
            "Set CACHES to a backend that processes share, such as Redis, or set SESSION_ENGINE to "
            "django.contrib.sessions.backends.cached_db.",
        )


# --- Connections to the database ---


@check(Error, "E002", Tags.compatibility)
def check_connection_budget():
    """All workers together must not exhaust PostgreSQL's connections."""
    most, opened = settings.DATABASE_MAX_CONNECTIONS, settings.DATABASE_CONNECTIONS
    # Not the engine's name, which may be one that wraps PostgreSQL's.
    vendor = load_backend(settings.DATABASES["default"]["ENGINE"]).DatabaseWrapper.vendor
    whose = " of both slots" if settings.SLOT else ""
    if settings.WEB_REPLICAS > 1:
        whose = f" of WEB_REPLICAS={settings.WEB_REPLICAS} and of one more during a release"
    if vendor == "postgresql" and opened + RESERVED_CONNECTIONS > most:
        yield (
            f"The workers{whose} may open {opened} connections to PostgreSQL, "
            f"which with {RESERVED_CONNECTIONS} in reserve is over DATABASE_MAX_CONNECTIONS={most}.",
            f"Lower WEB_CONCURRENCY{' or WEB_REPLICAS' if settings.WEB_REPLICAS > 1 else ''}, or raise "
            "DATABASE_MAX_CONNECTIONS together with PostgreSQL's own limit.",
        )


def _kept():
    return settings.DATABASES["default"].get("CONN_MAX_AGE", 0)


@check(Error, "E008", Tags.compatibility)
def check_pool():
    """Otherwise, it shows only at the first query."""
    if _kept() != 0 and settings.DATABASES["default"].get("OPTIONS", {}).get("pool"):
        yield (
            f"CONN_MAX_AGE={_kept()} with a pool: Django refuses every query.",
            "Remove one of the two from DATABASES in settings.py.",
        )


@check(Error, "E009", Tags.compatibility)
def check_kept_connections():
    """Otherwise, it shows only when no connections are left."""
    if _kept() != 0 and settings.STOCK_ASGI and settings.SERVER_INTERFACE == "ASGI":
        yield (
            f"CONN_MAX_AGE={_kept()} with STOCK_ASGI=1: Django's own ASGI handler leaves an open connection for "
            "each request.",
            "Set CONN_MAX_AGE to 0, and limit the connections with a pool.",
        )


# --- Settings derived from SITE_URL, unless set by hand ---


@check(Error, "E003", Tags.security, deploy=True)
def check_debug():
    """Django's own check of DEBUG is a warning, which doesn't stop a release."""
    if settings.DEBUG and not _is_local():
        yield (
            f"DEBUG=1 on SITE_URL={settings.SITE_URL}: error pages show code and settings to visitors.",
            "Remove DEBUG from .env, or set SITE_URL to a local address.",
        )


@check(Warning, "W001", Tags.security, deploy=True)
def check_public_address():
    if not _is_https() and not _is_local():
        yield (
            f"SITE_URL={settings.SITE_URL} is public and not encrypted: others can read passwords and sessions.",
            "Set SITE_URL to an https:// address, which gets a certificate.",
        )


@check(Warning, "W007", Tags.compatibility, deploy=True)
def check_mail_leaves():
    if settings.MAILERS["server"].get("BACKEND") == NO_SERVER and not _is_local():
        yield (
            f"EMAIL_URL is missing: {settings.SITE_URL} sends no mail, not even password resets.",
            "Run docker/configure EMAIL_URL=smtp://user:password@host:587 (or EMAIL_URL=-, to paste it), then make "
            "release.",
        )


@check(Error, "E004", Tags.security)
def check_https_only_settings():
    names = ["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "LANGUAGE_COOKIE_SECURE", "SECURE_SSL_REDIRECT"]
    wrong = [name for name in names if getattr(settings, name)]
    if wrong and not _is_https():
        yield (
            f"SITE_URL={settings.SITE_URL} with {', '.join(wrong)}: over http, browsers do not send secure cookies, "
            "so no sign-in works, and a redirect to https leads nowhere.",
            "Set SITE_URL to the https:// address, or let settings.py derive them from it.",
        )


@check(Error, "E005", Tags.security)
def check_cookie_prefixes():
    """Browsers refuse a cookie whose name prefix requires attributes that it lacks."""
    for cookie in ("SESSION_COOKIE", "CSRF_COOKIE", "LANGUAGE_COOKIE"):
        name, domain, path, secure = (
            getattr(settings, f"{cookie}_{each}") for each in ("NAME", "DOMAIN", "PATH", "SECURE")
        )
        broken = []
        if name.startswith(("__Host-", "__Secure-")) and not secure:
            broken.append(f"{cookie}_SECURE=False")
        if name.startswith("__Host-") and domain:
            broken.append(f"{cookie}_DOMAIN={domain!r}")
        if name.startswith("__Host-") and path != "/":
            broken.append(f"{cookie}_PATH={path!r}")
        if broken:
            yield (
                f"{cookie}_NAME={name!r} with {', '.join(broken)}: browsers refuse such a cookie.",
                f"Give {cookie}_NAME another name, or remove the other setting.",
            )


@check(Error, "E006", Tags.security)
def check_site_is_allowed():
    host, _ = split_domain_port(urlsplit(settings.SITE_URL).netloc)
    if not settings.DEBUG and not validate_host(host, settings.ALLOWED_HOSTS):
        yield (
            f"SITE_URL={settings.SITE_URL} is not among ALLOWED_HOSTS={settings.ALLOWED_HOSTS}: every page answers "
            "400.",
            "Let settings.py derive ALLOWED_HOSTS from SITE_URL, or add the host there.",
        )


# --- The project's own WebSockets ---


@check(Error, "E011", Tags.urls)
def check_own_websockets():
    """Otherwise, it shows only when a visitor opens one, and only in hybrid mode."""
    from kit.live import consumers

    for route in consumers.patterns():
        if not isinstance(route, URLPattern) or not _is_asgi(route.callback):
            yield (
                f"websocket_urlpatterns has {route}, which is neither a consumer nor another ASGI application.",
                "Use path(…, SomeConsumer.as_asgi()). Instead of include() and URLRouter, put the routes "
                "into the list: *module.websocket_urlpatterns.",
            )
        elif not str(route.pattern).removeprefix("^").startswith("live/"):
            yield (
                f"websocket_urlpatterns has {str(route.pattern)!r}, which does not begin with live/: in hybrid mode "
                "Nginx sends only those paths to the servers with WebSockets.",
                "Begin the path with live/.",
            )


def _is_asgi(application):
    # Callable is not enough: so are views, and consumers without as_asgi().
    call = application if isroutine(application) else type(application).__call__
    return iscoroutinefunction(call) and not isinstance(application, URLRouter)


# --- Content Security Policy ---


@check(Error, "E010", Tags.security)
def check_policies():
    """Browsers ignore the parts of a policy that they don't understand, which leaves pages too open, or broken."""
    policies = {"SECURE_CSP": settings.SECURE_CSP}
    hint = 'See "A policy for a path" in docs/security.md.'
    for path, policy in settings.CSP_BY_PATH.items():
        policies[f"CSP_BY_PATH[{path!r}]"] = policy
        if not str(path).startswith("/") or set(path) & set("?#* "):
            yield f"CSP_BY_PATH has the prefix {path!r}: expected one that begins with a slash, without a query.", hint
        if not policy:
            yield f"CSP_BY_PATH[{path!r}] is empty, which would remove the policy.", hint
    for name, policy in policies.items():
        for fault in _faults_of(policy):
            yield f"{name} {fault}.", hint


def _faults_of(policy):
    if not isinstance(policy, dict):
        yield f"is {policy!r}: a policy is a dict of directives"
        return
    for directive, values in policy.items():
        if directive not in DIRECTIVES:
            yield f"has the directive {directive!r}, which browsers do not know"
        for value in [values] if isinstance(values, str | bool | None) else values:
            if value in KEYWORDS:
                yield f"has {value!r} in {directive!r}, which is a host unless it is \"'{value}'\""


# --- Proxies in front ---


@check(Warning, "W002", Tags.security, deploy=True)
def check_believed_proxies():
    """In the stack, only Nginx reaches the servers."""
    reachable = not settings.SLOT and settings.BIND_ADDRESS not in settings.LOOPBACK_HOSTS
    if reachable and settings.FORWARDED_ALLOW_IPS == "*":
        yield (
            f"FORWARDED_ALLOW_IPS=* with BIND_ADDRESS={settings.BIND_ADDRESS}: a client that reaches the port can "
            "claim any address, and https.",
            "Set FORWARDED_ALLOW_IPS to the networks of the proxies in front, or BIND_ADDRESS to 127.0.0.1.",
        )


@check(Warning, "W003", Tags.security, deploy=True)
def check_https_arrives():
    """Gunicorn has no certificate: only a proxy can tell it that a request came by https."""
    if settings.SECURE_SSL_REDIRECT and not settings.FORWARDED_ALLOW_IPS and not settings.SECURE_PROXY_SSL_HEADER:
        yield (
            f"SITE_URL={settings.SITE_URL}, but no proxy is trusted to report https, so each page redirects to itself.",
            "Set FORWARDED_ALLOW_IPS to the address of the proxy that holds the certificate.",
        )


# --- Servers ---


@check(Warning, "W004", Tags.compatibility)
def check_middleware_is_async():
    """A sync-only middleware holds a thread for the whole of each request, and makes all middleware around it sync."""
    for path in settings.MIDDLEWARE if settings.SERVER_INTERFACE == "ASGI" else ():
        if not getattr(import_string(path), "async_capable", False):
            yield (
                f"{path} is sync-only: under ASGI each request holds a thread to its end.",
                "Support both (django.utils.decorators.sync_and_async_middleware), use another one, or serve "
                "pages by WSGI (SERVER_MODE=hybrid).",
            )


@check(Warning, "W005", Tags.compatibility)
def check_memory_of_workers():
    fit = modes.workers_that_fit()
    if fit < settings.WORKERS:
        yield (
            f"WEB_CONCURRENCY={settings.WORKERS} is more than the {fit} workers that fit into the memory of this "
            "container: under load, the kernel kills them.",
            "Lower WEB_CONCURRENCY, leave it empty, or raise WEB_MEMORY.",
        )


@check(Warning, "W006", Tags.compatibility)
def check_compared_versions():
    """kit.serving leaves versions that it wasn't compared with to Django's handler, see kit/serving/__init__.py."""
    if settings.SERVER_INTERFACE == "ASGI" and (others := not_compared()):
        yield (
            f"kit.serving does not support {' and '.join(others)} yet: Django's own ASGI handler serves, at several "
            "times the CPU per request.",
            "Update the template (make update), or install the version before.",
        )
