"""Exit with a message if the port, the first argument, is not available."""

import os
import socket
import sys

port = sys.argv[1]
try:
    with socket.create_server(("127.0.0.1", int(port))):
        pass
except (ValueError, OverflowError):
    sys.exit(f"PORT={port!r} is wrong: expected a port number, 1 to 65535.")
except OSError as error:
    reason = os.strerror(error.errno)
    sys.exit(f"Port {port} can't be used ({reason}): stop what uses it, or choose another: PORT=8001 make …")
