from wisheasy.settings import *

ROOT_URLCONF = "workshop.tests.bodies.urls"
