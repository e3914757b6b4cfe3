"""The project's settings with the one that cookiecutter-django ships differently: connections that threads keep."""

from wisheasy.settings import *  # noqa: F403
from wisheasy.settings import DATABASES

DATABASES["default"] = {**DATABASES["default"], "CONN_MAX_AGE": 60}
DATABASES["default"]["OPTIONS"] = {
    # Django refuses a pool together with kept connections.
    name: value
    for name, value in DATABASES["default"].get("OPTIONS", {}).items()
    if name != "pool"
}
