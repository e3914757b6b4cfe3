"""The settings of the lab with Django's own defaults for connections: a new one for each request, and no pool."""

from workshop.lab.settings import *  # noqa: F403
from workshop.lab.settings import DATABASES

DATABASES["default"] = {**DATABASES["default"], "CONN_MAX_AGE": 0}
DATABASES["default"]["OPTIONS"] = {
    name: value for name, value in DATABASES["default"].get("OPTIONS", {}).items() if name != "pool"
}
