"""Reports errors to Sentry or a compatible service. Imported if SENTRY_DSN is set, before any fork: the SDK starts its
threads in the process that sends."""

import logging
import os
import sys

import sentry_sdk
from sentry_sdk.integrations.atexit import AtexitIntegration

from .logs import HIDDEN, one_line

# Parts of a request that log lines omit as well.
NEVER = {"data", "cookies", "query_string", "env"}


def start(dsn: str, environment: str, release: str | None, **tags: str | None) -> None:
    sentry_sdk.init(
        dsn=dsn,
        # The SDK's own variables take precedence.
        environment=os.environ.get("SENTRY_ENVIRONMENT") or environment,
        release=os.environ.get("SENTRY_RELEASE") or release,
        send_default_pii=False,
        max_request_body_size="never",
        # A view's variables hold the values of forms.
        include_local_variables=False,
        before_send=clean_event,
        before_send_transaction=clean_event,
        # An unreachable server delays the exit no longer.
        shutdown_timeout=1,
        integrations=[AtexitIntegration(callback=lambda pending, timeout: None)],
    )
    sentry_sdk.get_global_scope().set_tags({name: value for name, value in tags.items() if value})
    logging.getLogger("django_ox").addFilter(with_traceback)


def with_traceback(record):
    """Add the traceback to django-ox's log of a failed job, which has only the name while the exception is handled."""
    if getattr(record, "event", "") == "task_failed":
        record.exc_info = record.exc_info or sys.exc_info()
    return True


def clean_event(event, hint):
    """Remove queries, cookies, authorization and passwords, as from log lines."""
    if "request" in event:
        event["request"] = {name: value for name, value in event["request"].items() if name not in NEVER}
    return _clean(event)


def _clean(value):
    if isinstance(value, str):
        return one_line(value, keep="\n")
    if isinstance(value, dict):
        return {name: HIDDEN if _is_secret(name) else _clean(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def _is_secret(name):
    line = f"{name}: x"
    return str(name).endswith(("query", "fragment")) or one_line(line) != line
