"""Log lines: JSON, or plain text on a terminal. Each is one event and names its request, whatever a client sends."""

import logging
import re
from contextvars import ContextVar
from copy import copy
from logging.config import dictConfig

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

# The id of the request that is being served, empty outside of one. It follows tasks and sync_to_async; a thread of your
# own has it if its work is run by contextvars.copy_context().run.
request_id: ContextVar[str] = ContextVar("request_id", default="")

HIDDEN = "[hidden]"
# What is kept of a match; after it stands what is hidden. A client chooses the text, so every repetition is bounded, or
# ends with what it matched.
SECRETS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # A query, all of it: which of its values is secret, only the view knows.
        r"""(\?)[^\s'"<>]+""",
        # To the end of the line: Cookie: …   Authorization: …   'HTTP_COOKIE': '…'   (b'cookie', b'…')
        r"""((?:cookie|authorization)['"]?\s?[:,=]\s?)[^\r\n]+""",
        # password=…   "access_token": "…"   csrfmiddlewaretoken': ['…']
        r"""((?:passw|secret|token|csrf|sessionid|api.?key|query_string)[\w.-]{0,40}['"]?\s?[:=]\s?)"""
        r"""(?:\[[^\]]*\]?|b?'(?:\\.|[^'\\])*'?|b?"(?:\\.|[^"\\])*"?|[^\s&;,'")\]}]+)""",
        # postgres://user:…@host
        r"(://[^\s/:@]{0,64}:)[^\s/]{1,200}(?=@)",
        # A stored password, which PostgreSQL quotes with the row that it refuses; and Django's link to set a new one.
        r"\b((?:pbkdf2_|argon2|bcrypt|scrypt)\w{0,20}\$)[^\s,)'\"]+",
        r"(/[0-9a-z]{1,13}-)[0-9a-f]{32}\b",
    )
]
PLAIN = "[%(asctime)s] [%(process)d] [%(levelname)s] %(name)s: %(message)s"
# On a record, but no fields of a line.
NO_FIELDS = [*RESERVED_ATTRS, "request", "in_request", "color_message"]


def one_line(text: str, keep: str = "") -> str:
    """`text` without secrets, and with escapes in place of what ends a line or steers a terminal, but for `keep`."""
    for pattern in SECRETS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    text = text.rstrip()
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in text
    )


class Clean(logging.Filter):
    """Of a handler: it writes a copy of the record, with the request's id, and without secrets and control characters.
    Without `traceback`, for what a stranger can cause, such as a wrong Host header."""

    def __init__(self, traceback: bool = True):
        super().__init__()
        self.traceback = traceback

    def filter(self, record):
        record = copy(record)
        record.msg, record.args = one_line(record.getMessage()), None
        # Work that goes on outside of its request says whose it is: extra={"request_id": …}.
        record.request_id = getattr(record, "request_id", request_id.get())
        record.in_request = f" [{record.request_id}]" if record.request_id else ""
        error = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        record.exc_info, record.exc_text = None, self.lines(error) if self.traceback else None
        record.stack_info = self.lines(record.stack_info)
        for name, value in vars(record).items():
            if name not in NO_FIELDS and not isinstance(value, int | float | None):
                setattr(record, name, one_line(str(value)))
        return record

    def lines(self, text):
        """Indented: whatever an error's text holds, it does not look like a line of its own."""
        return text and "  " + one_line(text, keep="\n").replace("\n", "\n  ")


def formatter(stream, plain: str = PLAIN) -> logging.Formatter:
    """What suits the stream: JSON for machines, `plain` for a terminal."""
    if stream.isatty():
        return logging.Formatter(f"{plain}%(in_request)s", defaults={"in_request": ""})
    return JsonFormatter(
        ["levelname", "name", "process", "request_id", "message"],
        rename_fields={
            "levelname": "level", "name": "logger", "request_id": "id", "exc_info": "exception", "stack_info": "stack",
        },
        reserved_attrs=NO_FIELDS,
        # First, and then what it is.
        defaults={"time": None},
        timestamp="time",
        json_ensure_ascii=False,
    )  # fmt: skip


def configure(settings: dict) -> None:
    """Called by Django with LOGGING: Python's warnings become lines as well."""
    dictConfig(settings)
    logging.captureWarnings(True)
