"""What can be known of the stack from inside of it. docker/doctor adds what can be known from the machine alone.

A check yields what it finds; nothing, where it does not apply. The command doctor leaves it out where something that it
rests on is broken, so that a cause does not hide among what follows from it.
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
