"""Log lines: JSON, or plain text where a person reads along at a terminal. Each is one event and one line, names the
request it belongs to, and has nothing in it that only its visitor may know, whatever a client sends."""

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.config import dictConfig

# The id of the request that is being served, empty outside of one. It follows tasks and sync_to_async by itself, and a
# thread that is started by hand if its work is run by contextvars.copy_context().run.
request_id: ContextVar[str] = ContextVar("request_id", default="")

HIDDEN = "[hidden]"
_NAMES = r"passw|pwd|secret|token|session|cookie|csrf|authorization|credential|signature|api[_-]?key|query_string"
_NAME = rf"(?:{_NAMES})[\w.-]{{0,40}}"
_VALUE = r"""(?:\[[^\]]*\]?|\([^)]*\)?|b?'(?:\\.|[^'\\])*'?|b?"(?:\\.|[^"\\])*"?|[^\s&;,'")\]}]+)"""
# What is kept of a match, and after it what is hidden. Every repetition is bounded or ends with what it matched: a
# client chooses the text.
SECRETS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # A query, all of it: which of its values is secret, only the view knows.
        r"""(\?)[^\s'"<>]+""",
        # Cookie: …   Authorization: …   Password: …
        r"""((?:cookie|authorization|password|secret|token|session-?id|api[_-]?key)\s?:\s?)[^\r\n'"]+""",
        # token=…   "password": "…"   (b'cookie', b'…')
        rf"({_NAME}\s?=\s?){_VALUE}",
        rf"({_NAME}['\"]\s?[:,=]\s?){_VALUE}",
        # postgres://user:…@host
        r"(://[^\s/:@]{0,64}:)[^\s/@]{1,200}(?=@)",
        # A password as the database keeps it, which PostgreSQL quotes with the row that it refuses.
        r"\b((?:pbkdf2_|argon2|bcrypt|scrypt)\w{0,20}\$)[^\s,)'\"]+",
        # A link of Django's to set a new password.
        r"(/[0-9a-z]{1,13}-)[0-9a-f]{32}\b",
    )
]
# What logging itself puts on a record, and what others do for their own handlers. A request would show its query.
_NOT_EXTRA = {*vars(logging.makeLogRecord({})), "message", "asctime", "request", "request_id", "color_message"}


def without_secrets(text: str) -> str:
    for pattern in SECRETS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def one_line(text: str, keep: str = "") -> str:
    """`text` without secrets, and with escapes in place of what ends a line or steers a terminal, but for `keep`."""
    text = without_secrets(text).rstrip()
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in text
    )


def _id(record: logging.LogRecord) -> str:
    # Work that goes on outside of its request says whose it is: extra={"request_id": …}.
    return getattr(record, "request_id", request_id.get())


class Plain(logging.Formatter):
    def formatMessage(self, record):
        record.message = one_line(record.message)
        line = super().formatMessage(record)
        return f"{line} [{_id(record)}]" if _id(record) else line

    def formatException(self, exc_info):
        # Indented: whatever an error's text holds, it does not look like a line of its own.
        return "  " + one_line(super().formatException(exc_info), keep="\n").replace("\n", "\n  ")


class Json(logging.Formatter):
    def format(self, record):
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "id": _id(record),
            "message": one_line(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = one_line(self.formatException(record.exc_info), keep="\n")
        if record.stack_info:
            line["stack"] = one_line(record.stack_info, keep="\n")
        for name, value in vars(record).items():
            if name not in _NOT_EXTRA:
                line.setdefault(name, _plain(name, value))
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def _plain(name, value):
    if re.match(_NAME, name, re.IGNORECASE):
        return HIDDEN
    return value if isinstance(value, int | float | None) else one_line(str(value))


def formatter(stream, plain="[%(asctime)s] [%(process)d] [%(levelname)s] %(name)s: %(message)s") -> logging.Formatter:
    """What suits the stream: JSON for machines, `plain` for a terminal."""
    return Plain(plain) if stream.isatty() else Json()


def configure(settings: dict) -> None:
    """Called by Django with LOGGING: Python's warnings become lines as well."""
    dictConfig(settings)
    logging.captureWarnings(True)


class WithoutTraceback(logging.Filter):
    """For what any stranger can cause, such as a wrong Host header: one line tells it all."""

    def filter(self, record):
        record.exc_info = record.exc_text = None
        return True
