from workshop.probe.settings import *

ROOT_URLCONF = "workshop.tests.logs.urls"
