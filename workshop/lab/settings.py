"""The project with the lab: what `make -C workshop lab` serves."""

from wisheasy.settings import *
from wisheasy.settings import (
    INSTALLED_APPS,
    PORT,
    REDIS_URL,
    SECURE_CSP,
    SERVER_MODE,
    SERVER_ROLE,
    SILENCED_SYSTEM_CHECKS,
)

INSTALLED_APPS += ["workshop.lab"]
ROOT_URLCONF = "workshop.lab.project_urls"
ASGI_APPLICATION = "workshop.lab.asgi.application"

if SERVER_MODE == "hybrid" and not REDIS_URL:
    # Without Docker: no Nginx leads /live/ to the event loop, so it listens on the next port, where the page asks it.
    if SERVER_ROLE == "pages":
        LAB_LIVE_PORT = PORT + 1
        SECURE_CSP["connect-src"] += [f"http://{host}:{LAB_LIVE_PORT}" for host in ("localhost", "127.0.0.1")]
    else:
        LAB_HEADERS = {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Expose-Headers": "Lab-Process, Lab-Thread",
            "Timing-Allow-Origin": "*",
        }
    # Nothing on the page is pushed from one process to another.
    SILENCED_SYSTEM_CHECKS += ["ops.E001"]
