"""The doctor's checks from inside the stack. docker/doctor adds those that only the host can make.

A check yields its findings, or nothing where it does not apply. The command doctor skips checks that depend on a broken
one, so that a cause is not buried under its effects.
"""

from typing import NamedTuple


class Finding(NamedTuple):
    status: str
    """ok, warning or broken."""
    what: str
    why: str = ""
    fix: str = ""


def ok(what: str) -> Finding:
    return Finding("ok", what)


def warning(what: str, why: str, fix: str) -> Finding:
    return Finding("warning", what, why, fix)


def broken(what: str, why: str, fix: str) -> Finding:
    return Finding("broken", what, why, fix)
