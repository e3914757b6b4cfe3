"""What cookiecutter-django ships: Django's defaults, but for connections that threads keep."""

from .defaults import *  # noqa: F403
from .defaults import DATABASES

DATABASES["default"]["CONN_MAX_AGE"] = 60
