import os
import secrets

# Before the settings are read. The environment of the person who runs the tests decides nothing but the services:
# DATABASE_URL and REDIS_URL, where `make e2e` runs these tests once more on PostgreSQL and Redis.
for name in (
    "SERVER_MODE",
    "UPSTREAM",
    "SITE_URL",
    "DEBUG",
    "PORT",
    "WEB_CONCURRENCY",
    "FORWARDED_ALLOW_IPS",
):
    os.environ.pop(name, None)
os.environ["SECRET_KEY"] = secrets.token_urlsafe(64)
# All there is in the table: views, consumers and pushes are tested in one process.
os.environ["SERVER_MODE"] = "asgi"

import pytest


@pytest.fixture(autouse=True)
def static_files_need_not_be_collected(settings):
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
