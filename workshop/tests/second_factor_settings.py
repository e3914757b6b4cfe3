"""The settings of a project that has turned the second factor on."""

from wisheasy.settings import *
from wisheasy.settings import INSTALLED_APPS, STORAGES

INSTALLED_APPS += ["allauth.mfa"]
# What these tests serve is collected with other settings.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
