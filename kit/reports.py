"""Errors reported to Sentry, or what speaks its protocol. Loaded where SENTRY_DSN is set, and then before any fork: the
SDK starts its threads in the process that has something to send."""

import logging
import os
import sys

import sentry_sdk
from sentry_sdk.integrations.atexit import AtexitIntegration

from .logs import HIDDEN, one_line

# Parts of a request that no log line has either.
NEVER = {"data", "cookies", "query_string", "env"}


def start(dsn: str, environment: str, **tags: str | None) -> None:
    sentry_sdk.init(
        dsn=dsn,
        # The SDK's own variables win.
        environment=os.environ.get("SENTRY_ENVIRONMENT") or environment,
        release=os.environ.get("SENTRY_RELEASE") or os.environ.get("REVISION") or None,
        send_default_pii=False,
        max_request_body_size="never",
        # A form's values are in the variables of the view that reads them.
        include_local_variables=False,
        before_send=clean_event,
        before_send_transaction=clean_event,
        # A server that is away holds no process for longer.
        shutdown_timeout=1,
        integrations=[AtexitIntegration(callback=lambda pending, timeout: None)],
    )
    sentry_sdk.get_global_scope().set_tags({name: value for name, value in tags.items() if value})
    logging.getLogger("django_ox").addFilter(with_traceback)


def with_traceback(record):
    """A job that has failed for good is logged by its name alone, while its exception is handled."""
    if getattr(record, "event", "") == "task_failed":
        record.exc_info = record.exc_info or sys.exc_info()
    return True


def clean_event(event, hint):
    """As a log line: without queries, cookies, authorization and passwords."""
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
