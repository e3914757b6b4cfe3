from wisheasy.settings import *  # noqa: F403

INSTALLED_APPS += ["tests.notes"]  # noqa: F405
ROOT_URLCONF = "tests.notes.urls"
