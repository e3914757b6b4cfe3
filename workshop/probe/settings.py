from wisheasy.settings import *

INSTALLED_APPS += ["workshop.probe"]
ROOT_URLCONF = "workshop.probe.urls"
