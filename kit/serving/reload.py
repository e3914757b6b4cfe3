"""Where DEBUG is on: a Gunicorn that starts again whenever Python code of the project changes.

Gunicorn's own reload knows the files that a worker has loaded, so it never looks again at one with a mistake in it,
ends where the project can't be loaded at all, and does not read the settings again.
"""

import socket
import sys

from django.conf import settings
from watchfiles import PythonFilter, run_process


def serve_and_reload() -> None:
    # Open all the time: a request that comes meanwhile waits.
    family = socket.AF_INET6 if ":" in settings.BIND_ADDRESS else socket.AF_INET
    listener = socket.create_server((settings.BIND_ADDRESS, settings.PORT), family=family, backlog=2048)
    run_process(
        *(package.parent for package in settings.BASE_DIR.glob("*/__init__.py")),
        target=serve,
        args=(listener,),
        watch_filter=PythonFilter(),
        callback=announce,
    )


def announce(changes: set) -> None:
    files = sorted({path.removeprefix(f"{settings.BASE_DIR}/") for _, path in changes})
    print(f"Changed: {', '.join(files)}", file=sys.stderr)  # noqa: T201


def serve(listener: socket.socket) -> None:
    from gunicorn.app.wsgiapp import run

    sys.argv = ["gunicorn", f"--bind=fd://{listener.detach()}"]
    run(prog="gunicorn")
