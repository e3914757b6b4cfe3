"""System checks: what can be known at start, said in one sentence with its remedy."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register
from django.http.request import split_domain_port, validate_host
from django.utils.module_loading import import_string

from kit.serving import modes, not_compared

# Connections left for PostgreSQL's own superusers, a migration, a backup and a person with psql.
RESERVED_CONNECTIONS = 10


@register(Tags.compatibility)
def check_shared_channel_layer(app_configs, **kwargs):
    """A push must reach the pages that hang on another process."""
    pushes = settings.LIVE_TRANSPORTS != ("polling",)
    if not pushes or settings.PROCESSES == 1 or settings.REDIS_URL:
        return []
    return [
        Error(
            f"SERVER_MODE={settings.SERVER_MODE} with {settings.PROCESSES} processes needs Redis: with the in-memory "
            "channel layer a change made in one process is not pushed to the pages that hang on another.",
            hint="Set REDIS_URL, or run SERVER_MODE=asgi with WEB_CONCURRENCY=1.",
            id="ops.E001",
        )
    ]


@register(Tags.compatibility)
def check_connection_budget(app_configs, **kwargs):
    """All workers together must not be able to use up PostgreSQL's connections."""
    if not settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        return []
    needed = settings.DATABASE_CONNECTIONS + RESERVED_CONNECTIONS
    if needed <= settings.DATABASE_MAX_CONNECTIONS:
        return []
    return [
        Error(
            f"The workers{' of both slots' if settings.SLOT else ''} may open {settings.DATABASE_CONNECTIONS} "
            f"connections to PostgreSQL, which with "
            f"{RESERVED_CONNECTIONS} in reserve is over DATABASE_MAX_CONNECTIONS={settings.DATABASE_MAX_CONNECTIONS}.",
            hint="Lower WEB_CONCURRENCY, or raise DATABASE_MAX_CONNECTIONS together with PostgreSQL's own limit.",
            id="ops.E002",
        )
    ]


@register(Tags.security, deploy=True)
def check_debug(app_configs, **kwargs):
    """Django's own check of DEBUG is a warning, which stops no release."""
    if not settings.DEBUG or settings.ALLOWED_HOSTS == settings.LOOPBACK_HOSTS:
        return []
    return [
        Error(
            f"DEBUG=1 on SITE_URL={settings.SITE_URL}: whoever meets an error there is shown code and settings.",
            hint="Remove DEBUG from .env, or set SITE_URL to an address of this machine alone.",
            id="ops.E003",
        )
    ]


@register(Tags.security, deploy=True)
def check_public_address(app_configs, **kwargs):
    if urlsplit(settings.SITE_URL).scheme == "https" or settings.ALLOWED_HOSTS == settings.LOOPBACK_HOSTS:
        return []
    return [
        Warning(
            f"SITE_URL={settings.SITE_URL} is public and not encrypted: passwords and sessions travel in clear.",
            hint="Give it a certificate and set SITE_URL to the https:// address.",
            id="ops.W001",
        )
    ]


# --- What follows from SITE_URL, unless somebody has set it by hand ---


@register(Tags.security)
def check_https_only_settings(app_configs, **kwargs):
    names = ["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "LANGUAGE_COOKIE_SECURE", "SECURE_SSL_REDIRECT"]
    wrong = [name for name in names if getattr(settings, name)]
    if urlsplit(settings.SITE_URL).scheme == "https" or not wrong:
        return []
    return [
        Error(
            f"SITE_URL={settings.SITE_URL} with {', '.join(wrong)}: over http a browser sends no secure cookie back, "
            "so nobody can sign in, and a redirect to https leads nowhere.",
            hint="Set SITE_URL to the https:// address, or let settings.py derive them from it.",
            id="ops.E004",
        )
    ]


@register(Tags.security)
def check_cookie_prefixes(app_configs, **kwargs):
    """A browser refuses a cookie whose name promises more than its attributes keep."""
    errors = []
    for cookie in ("SESSION_COOKIE", "CSRF_COOKIE", "LANGUAGE_COOKIE"):
        name = getattr(settings, f"{cookie}_NAME")
        domain, path = getattr(settings, f"{cookie}_DOMAIN"), getattr(settings, f"{cookie}_PATH")
        broken = [] if getattr(settings, f"{cookie}_SECURE") else [f"{cookie}_SECURE=False"]
        if name.startswith("__Host-"):
            broken += [f"{cookie}_DOMAIN={domain!r}"] if domain else []
            broken += [f"{cookie}_PATH={path!r}"] if path != "/" else []
        elif not name.startswith("__Secure-"):
            broken = []
        if broken:
            errors.append(
                Error(
                    f"{cookie}_NAME={name!r} with {', '.join(broken)}: browsers refuse such a cookie.",
                    hint=f"Give {cookie}_NAME another name, or remove the other setting.",
                    id="ops.E005",
                )
            )
    return errors


@register(Tags.security)
def check_site_is_allowed(app_configs, **kwargs):
    host, _ = split_domain_port(urlsplit(settings.SITE_URL).netloc)
    if settings.DEBUG or validate_host(host, settings.ALLOWED_HOSTS):
        return []
    return [
        Error(
            f"SITE_URL={settings.SITE_URL} is not among ALLOWED_HOSTS={settings.ALLOWED_HOSTS}: every page is "
            "answered 400.",
            hint="Let settings.py derive ALLOWED_HOSTS from SITE_URL, or add the host there.",
            id="ops.E006",
        )
    ]


DIRECTIVES = {
    "base-uri", "child-src", "connect-src", "default-src", "fenced-frame-src", "font-src", "form-action",
    "frame-ancestors", "frame-src", "img-src", "manifest-src", "media-src", "object-src", "report-to", "report-uri",
    "require-trusted-types-for", "sandbox", "script-src", "script-src-attr", "script-src-elem", "style-src",
    "style-src-attr", "style-src-elem", "trusted-types", "upgrade-insecure-requests", "worker-src",
}  # fmt: skip
# A browser takes these for names of hosts, unless they are in quotes (django.utils.csp.CSP has them).
KEYWORDS = {"none", "self", "strict-dynamic", "unsafe-eval", "unsafe-hashes", "unsafe-inline", "wasm-unsafe-eval"}


@register(Tags.security)
def check_policies(app_configs, **kwargs):
    """A browser passes over what it does not understand of a policy, and the page is more open, or broken."""
    policies = {f"CSP_BY_PATH[{path!r}]": policy for path, policy in settings.CSP_BY_PATH.items()}
    faults = [
        f"CSP_BY_PATH has the prefix {path!r}: it begins with a slash and has no query"
        for path in settings.CSP_BY_PATH
        if not str(path).startswith("/") or set(path) & set("?#* ")
    ]
    faults += [f"{name} is empty: that would be no policy at all" for name, policy in policies.items() if not policy]
    for name, policy in {"SECURE_CSP": settings.SECURE_CSP, **policies}.items():
        faults += [f"{name} {fault}" for fault in _faults_of(policy)]
    return [
        Error(f"{fault}.", hint="See the section on policies in docs/security.md.", id="ops.E010") for fault in faults
    ]


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


@register(Tags.security, deploy=True)
def check_believed_proxies(app_configs, **kwargs):
    """In the stack nobody but Nginx reaches the servers."""
    if settings.SLOT or settings.FORWARDED_ALLOW_IPS != "*" or settings.BIND_ADDRESS in settings.LOOPBACK_HOSTS:
        return []
    return [
        Warning(
            f"FORWARDED_ALLOW_IPS=* with BIND_ADDRESS={settings.BIND_ADDRESS}: whoever reaches the port can claim any "
            "address, and that he came by https.",
            hint="Set FORWARDED_ALLOW_IPS to the networks of the proxies in front, or BIND_ADDRESS to 127.0.0.1.",
            id="ops.W002",
        )
    ]


@register(Tags.security, deploy=True)
def check_https_arrives(app_configs, **kwargs):
    """Gunicorn has no certificate: https is known from what a proxy says."""
    if not settings.SECURE_SSL_REDIRECT or settings.FORWARDED_ALLOW_IPS or settings.SECURE_PROXY_SSL_HEADER:
        return []
    return [
        Warning(
            f"SITE_URL={settings.SITE_URL}, but no proxy is believed when it says that a visitor came by https: each "
            "page redirects to itself for ever.",
            hint="Set FORWARDED_ALLOW_IPS to the address of the proxy that holds the certificate.",
            id="ops.W003",
        )
    ]


# --- Servers ---


@register(Tags.compatibility)
def check_middleware_is_async(app_configs, **kwargs):
    """One that is sync-only holds a thread for the whole of every request, and makes all that is around it sync."""
    if settings.SERVER_INTERFACE != "ASGI":
        return []
    return [
        Warning(
            f"{path} is sync-only: under ASGI each request keeps a thread from its beginning to its end.",
            hint="Write it for both (django.utils.decorators.sync_and_async_middleware), take another one, or serve "
            "pages by WSGI (SERVER_MODE=hybrid).",
            id="ops.W004",
        )
        for path in settings.MIDDLEWARE
        if not getattr(import_string(path), "async_capable", False)
    ]


@register(Tags.compatibility)
def check_memory_of_workers(app_configs, **kwargs):
    fit = modes.workers_that_fit()
    if fit >= settings.WORKERS:
        return []
    return [
        Warning(
            f"WEB_CONCURRENCY={settings.WORKERS} is more than the {fit} workers that the memory of this container "
            "suffices for: when they need it, the kernel ends one after the other.",
            hint="Lower WEB_CONCURRENCY, or leave it empty; or raise WEB_MEMORY.",
            id="ops.W005",
        )
    ]


@register(Tags.compatibility)
def check_shared_sessions(app_configs, **kwargs):
    """A visitor is served now by this process and now by another."""
    in_cache = settings.SESSION_ENGINE == "django.contrib.sessions.backends.cache"
    backend = settings.CACHES.get(settings.SESSION_CACHE_ALIAS, {}).get("BACKEND", "")
    if not in_cache or settings.PROCESSES == 1 or not backend.endswith("locmem.LocMemCache"):
        return []
    return [
        Error(
            f"Sessions are in the memory of each of {settings.PROCESSES} processes: visitors are signed out whenever "
            "another one answers.",
            hint="Give CACHES a backend that processes share, such as Redis, or set SESSION_ENGINE to "
            "django.contrib.sessions.backends.cached_db.",
            id="ops.E007",
        )
    ]


@register(Tags.compatibility)
def check_compared_versions(app_configs, **kwargs):
    """kit.serving steps back where it was not compared with what is installed, see kit/serving/__init__.py."""
    if settings.SERVER_INTERFACE != "ASGI" or not (others := not_compared()):
        return []
    return [
        Warning(
            f"kit.serving was not compared with {' and '.join(others)}: Django's own ASGI handler serves, which takes "
            "several times the CPU for a request.",
            hint="Take the template's newer version (make update), or the one before of what is named here.",
            id="ops.W006",
        )
    ]


# --- Connections to the database ---


@register(Tags.compatibility)
def check_kept_connections(app_configs, **kwargs):
    """Both are known only at the first query otherwise, or when there are no connections left."""
    database = settings.DATABASES["default"]
    kept = database.get("CONN_MAX_AGE", 0)
    if kept == 0:
        return []
    if database.get("OPTIONS", {}).get("pool"):
        return [
            Error(
                f"CONN_MAX_AGE={kept} with a pool: Django refuses every query.",
                hint="Take one of the two out of DATABASES in settings.py.",
                id="ops.E008",
            )
        ]
    if settings.STOCK_ASGI and settings.SERVER_INTERFACE == "ASGI":
        return [
            Error(
                f"CONN_MAX_AGE={kept} with STOCK_ASGI=1: Django's own ASGI handler leaves an open connection behind "
                "for each request.",
                hint="Set CONN_MAX_AGE to 0, and bound the connections by a pool.",
                id="ops.E009",
            )
        ]
    return []
