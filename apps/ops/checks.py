"""System checks: what can be known at start, said in one sentence with its remedy."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register

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
