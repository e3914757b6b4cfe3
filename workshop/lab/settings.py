"""The project with the lab: what `make -C workshop lab` serves."""

from wisheasy.settings import *
from wisheasy.settings import INSTALLED_APPS

INSTALLED_APPS += ["workshop.lab"]
ROOT_URLCONF = "workshop.lab.project_urls"
ASGI_APPLICATION = "workshop.lab.asgi.application"
