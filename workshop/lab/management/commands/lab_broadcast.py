import time

from django.core.management.base import BaseCommand, CommandError

from workshop.lab.live import broadcast


class Command(BaseCommand):
    help = 'Publishes changes on the live topic "lab" and writes a line for each: the moment, in seconds since 1970.'

    def add_arguments(self, parser):
        parser.add_argument("--count", type=int, default=1, help="how many changes (1)")
        parser.add_argument("--every", type=float, default=0.1, help="seconds between two of them (0.1)")

    def handle(self, *, count, every, **options):
        if count < 1 or not 0 <= every <= 3600:
            raise CommandError("--count is a whole number of 1 or more, --every a number of seconds from 0 to 3600.")
        for number in range(count):
            if number:
                time.sleep(every)
            self.stdout.write(broadcast())
