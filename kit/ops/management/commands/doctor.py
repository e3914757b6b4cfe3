"""The part of docker/doctor that runs inside the stack."""

from django.core.management.base import BaseCommand

from kit.ops.doctor import broken, services, visits

# The name of each check, its function, and the checks that it depends on.
PARTS = {
    "services": {
        "settings": (services.check_settings, ()),
        "database": (services.check_database, ()),
        "connections": (services.check_connections, ("database",)),
        "migrations": (services.check_migrations, ("database",)),
        "jobs": (services.check_jobs, ("database", "migrations")),
        "redis": (services.check_redis, ()),
        "push": (services.check_push, ("redis",)),
        "cache": (services.check_cache, ("redis",)),
        "mail": (services.check_mail, ()),
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
# Occurs in no text.
SEPARATOR = "\x1f"


class Command(BaseCommand):
    help = (
        "Examines the stack from inside, for docker/doctor: a line for each finding, its fields (check, status, what, "
        "why, fix) separated by the character 1F, and at last a line `end`."
    )
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("part", choices=PARTS, help="What the stack rests on, or what visitors get.")
        parser.add_argument("--without", action="append", default=[], metavar="CHECK", help="Known to be broken.")

    def handle(self, *, part, without, **options):
        for check, finding in examine(part, set(without)):
            self.stdout.write(SEPARATOR.join(" ".join(field.split()) for field in (check, *finding)))
            self.stdout.flush()
        self.stdout.write("end")


def examine(part, without):
    """The name of each check of `part` and its findings, as they come. `without`: checks known to be broken."""
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
            # Whatever it is, the other checks should still run.
            out.add(name)
            unknown = "It is not known whether it works."
            yield name, broken(f"This could not be examined: {error!r}", unknown, "make logs")
