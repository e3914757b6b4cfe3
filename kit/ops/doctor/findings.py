from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    status: str
    """ok, warning or broken."""
    what: str
    why: str = ""
    mend: str = ""


def ok(what: str) -> Finding:
    return Finding("ok", what)


def warning(what: str, why: str, mend: str) -> Finding:
    return Finding("warning", what, why, mend)


def broken(what: str, why: str, mend: str) -> Finding:
    return Finding("broken", what, why, mend)
