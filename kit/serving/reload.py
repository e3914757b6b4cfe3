"""With DEBUG, restarts Gunicorn whenever Python code of the project changes.

Gunicorn's own reload watches only files that a worker has loaded. So it never retries a file with an error, exits if
the project can't be loaded, and does not reload the settings.
"""

import signal
import socket
import sys
import traceback
from contextlib import suppress

from django.conf import settings
from watchfiles import PythonFilter, run_process


def serve_and_reload() -> None:
    # Stays open, so that requests wait during a restart.
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

    left = listener.dup()
    sys.argv = ["gunicorn", f"--bind=fd://{listener.detach()}"]
    try:
        run(prog="gunicorn")
    except SystemExit as ended:
        if not ended.code:
            raise
    except Exception:
        traceback.print_exc()
    refuse(left)


def refuse(listener: socket.socket) -> None:
    """Answer requests until the next change, instead of letting them wait."""
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_DFL)
    text = b"The project can't be loaded: the terminal shows the error. It is loaded again when a file changes.\n"
    head = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    # Gunicorn made it non-blocking.
    listener.setblocking(True)
    while True:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.settimeout(5)
            connection.recv(65536)
            connection.sendall(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(text), text))
