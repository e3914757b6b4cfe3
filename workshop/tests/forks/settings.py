from wisheasy.settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "workshop.tests.forks.apps.ForksConfig"]
ROOT_URLCONF = "workshop.tests.forks.urls"
