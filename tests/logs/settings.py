from tests.notes.settings import *  # noqa: F403

ROOT_URLCONF = "tests.logs.urls"
