"""What can be known of the stack from inside of it. docker/doctor adds what can be known from the machine alone.

A check yields what it finds; nothing, where it does not apply. It is left out where something that it rests on is
broken, so that a cause does not hide among what follows from it.
"""

from collections.abc import Callable, Iterator

from . import services, visits
from .findings import Finding, broken

Check = Callable[[], Iterator[Finding]]
PARTS: dict[str, dict[str, tuple[Check, tuple[str, ...]]]] = {
    "services": {
        "settings": (services.check_settings, ()),
        "database": (services.check_database, ()),
        "connections": (services.check_connections, ("database",)),
        "migrations": (services.check_migrations, ("database",)),
        "redis": (services.check_redis, ()),
        "push": (services.check_push, ("redis",)),
    },
    "visits": {
        "servers": (visits.check_servers, ()),
        "nginx": (visits.check_nginx, ("servers",)),
        "dependencies": (visits.check_dependencies, ("nginx", "database", "redis")),
        "page": (visits.check_page, ("nginx", "database")),
        "csrf": (visits.check_csrf, ("nginx", "page")),
        "websocket": (visits.check_websocket, ("nginx", "database")),
        "certificate": (visits.check_certificate, ("nginx",)),
        "public": (visits.check_public, ("nginx",)),
    },
}


def examine(part: str, without: set[str]) -> Iterator[tuple[str, Finding]]:
    """The name of each check of `part`, and what it finds, as it does. `without`: what is known to be broken."""
    out = set(without)
    for name, (check, rests_on) in PARTS[part].items():
        if out & {name, *rests_on}:
            out.add(name)
            continue
        try:
            for finding in check():
                yield name, finding
                if finding.status == "broken":
                    out.add(name)
        except Exception as error:
            # Whatever it is, the other checks are to be made.
            out.add(name)
            yield (
                name,
                broken(f"This could not be examined: {error!r}", "It is not known whether it works.", "make logs"),
            )
