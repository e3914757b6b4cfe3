"""How much Nginx takes from one client, LIMIT_… in .env, as the file that nginx/nginx.conf includes."""

from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Writes the part of Nginx's configuration that limits requests and connections."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)

    def handle(self, *, file, **options):
        file.write_text("".join(f"{line};\n" for line in limits()))


def limits():
    """For the http block. Which requests count, and as whose, is in nginx/snippets/limits.conf."""
    # The rate, its unit, and how many may come at once, as a multiple of it.
    rates = {
        "pages": (settings.LIMIT_PAGES, "r/s", 5),
        # All pages of an office at once, when a server sends them away.
        "live": (settings.LIMIT_LIVE, "r/s", 5),
        "sign_in": (settings.LIMIT_SIGN_IN, "r/m", 2),
        "sign_up": (settings.LIMIT_SIGN_UP, "r/m", 2),
    }
    for name, (rate, unit, at_once) in rates.items():
        if rate:
            yield f"limit_req_zone ${name}_client zone={name}:2m rate={rate}{unit}"
            yield f"limit_req zone={name} burst={rate * at_once} nodelay"
    # Live pages are counted by themselves: who has too many can still load a page.
    if settings.LIMIT_CONNECTIONS:
        for name in ("pages", "live"):
            yield f"limit_conn_zone ${name}_client zone={name}_connections:2m"
            yield f"limit_conn {name}_connections {settings.LIMIT_CONNECTIONS}"
