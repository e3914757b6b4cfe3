"""Log lines, JSON or plain text on a terminal. Each record is one line with its request's id, whatever clients send."""

import logging
import re
from contextvars import ContextVar
from copy import copy
from logging.config import dictConfig

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

# The id of the current request, empty outside of one. It is passed to tasks and sync_to_async. Run the work of your own
# threads with contextvars.copy_context().run to keep it.
request_id: ContextVar[str] = ContextVar("request_id", default="")

HIDDEN = "[hidden]"
# The group is kept, what follows it is hidden. Clients choose the text, so each repetition is bounded, or ends with
# what it matched.
SECRETS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # The whole query: only the view knows which of its values are secret.
        r"""(\?)[^\s'"<>]+""",
        # To the end of the line: Cookie: …   Authorization: …   'HTTP_COOKIE': '…'   (b'cookie', b'…')
        r"""((?:cookie|authorization)['"]?\s?[:,=]\s?)[^\r\n]+""",
        # password=…   "access_token": "…"   csrfmiddlewaretoken': ['…']
        r"""((?:passw|secret|token|csrf|sessionid|api.?key|query_string)[\w.-]{0,40}['"]?\s?[:=]\s?)"""
        r"""(?:\[[^\]]*\]?|b?'(?:\\.|[^'\\])*'?|b?"(?:\\.|[^"\\])*"?|[^\s&;,'")\]}]+)""",
        # postgres://user:…@host
        r"(://[^\s/:@]{0,64}:)[^\s/]{1,200}(?=@)",
        # A password hash, as PostgreSQL quotes the row that it refuses; and the secret of Django's password reset link.
        r"\b((?:pbkdf2_|argon2|bcrypt|scrypt)\w{0,20}\$)[^\s,)'\"]+",
        r"(/[0-9a-z]{1,13}-)[0-9a-f]{32}\b",
    )
]
PLAIN = "[%(asctime)s] [%(process)d] [%(levelname)s] %(name)s: %(message)s"
# Attributes of a record that are not fields of its line.
NO_FIELDS = [*RESERVED_ATTRS, "request", "in_request", "color_message"]


def one_line(text: str, keep: str = "") -> str:
    """`text` without secrets, and with line ends and control characters escaped, except those in `keep`."""
    for pattern in SECRETS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    text = text.rstrip()
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in text
    )


class Clean(logging.Filter):
    """A handler's filter that adds the request's id to a copy of the record and removes secrets and control characters.
    Without `traceback` for errors that any client can cause, such as a wrong Host header."""

    def __init__(self, traceback: bool = True):
        super().__init__()
        self.traceback = traceback

    def filter(self, record):
        record = copy(record)
        record.msg, record.args = one_line(record.getMessage()), None
        # Work outside of its request passes the id itself: extra={"request_id": …}.
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
        """Indent the lines, so that an error's text can't pass for a log line."""
        return text and "  " + one_line(text, keep="\n").replace("\n", "\n  ")


def formatter(stream, plain: str = PLAIN) -> logging.Formatter:
    """The formatter for `stream`: `plain` for a terminal, else JSON."""
    if stream.isatty():
        return logging.Formatter(f"{plain}%(in_request)s", defaults={"in_request": ""})
    return JsonFormatter(
        ["levelname", "name", "process", "request_id", "message"],
        rename_fields={
            "levelname": "level", "name": "logger", "request_id": "id", "exc_info": "exception", "stack_info": "stack",
        },
        reserved_attrs=NO_FIELDS,
        # Puts the time first; `timestamp` fills it in.
        defaults={"time": None},
        timestamp="time",
        json_ensure_ascii=False,
    )  # fmt: skip


def configure(settings: dict) -> None:
    """Called by Django with LOGGING. Also logs Python's warnings."""
    dictConfig(settings)
    logging.captureWarnings(True)
