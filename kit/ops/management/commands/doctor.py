"""What docker/doctor asks inside of the stack."""

from django.core.management.base import BaseCommand

from kit.ops.doctor import PARTS, examine

# It is in no text.
SEPARATOR = "\x1f"


class Command(BaseCommand):
    help = (
        "Examines the stack from inside, for docker/doctor: a line for each finding, its fields (check, status, what, "
        "why, mend) separated by the character 1F, and at last a line `end`."
    )
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("part", choices=PARTS, help="What the stack rests on, or what visitors get.")
        parser.add_argument("--without", action="append", default=[], metavar="CHECK", help="Known to be broken.")

    def handle(self, *, part, without, **options):
        for check, finding in examine(part, set(without)):
            fields = (check, finding.status, finding.what, finding.why, finding.mend)
            self.stdout.write(SEPARATOR.join(" ".join(field.split()) for field in fields))
            self.stdout.flush()
        self.stdout.write("end")
