"""The project with the probe and the lab in it: one image for all that drills and tests of the stack drive."""

from wisheasy.settings import *
from wisheasy.settings import INSTALLED_APPS, SILENCED_SYSTEM_CHECKS

INSTALLED_APPS += ["workshop.probe", "workshop.lab"]
ROOT_URLCONF = "workshop.probe.urls"
ASGI_APPLICATION = "workshop.lab.asgi.application"
# Some drills serve on a name of the Internet, where the lab would be warned of.
SILENCED_SYSTEM_CHECKS += ["lab.W001"]
