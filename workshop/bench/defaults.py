"""The project's settings with Django's own defaults for connections: a new one for each request, and no pool."""

from wisheasy.settings import *  # noqa: F403
from wisheasy.settings import DATABASES

DATABASES["default"] = {**DATABASES["default"], "CONN_MAX_AGE": 0}
DATABASES["default"]["OPTIONS"] = {
    name: value for name, value in DATABASES["default"].get("OPTIONS", {}).items() if name != "pool"
}
