import os
import secrets
import signal

import django
import pytest

# The environment of the person who runs the tests decides nothing but the services: DATABASE_URL and REDIS_URL, where
# `make e2e` runs these tests once more on PostgreSQL and Redis.
for name in (
    "SERVER_ROLE", "SITE_URL", "DEBUG", "PORT", "BIND_ADDRESS", "WEB_CONCURRENCY", "WEB_THREADS", "STOCK_ASGI",
    "FORWARDED_ALLOW_IPS", "SECRET_KEY_FILE", "DATABASE_URL_FILE", "REDIS_URL_FILE", "TRUSTED_PROXIES", "HTTP3",
    "LIMIT_PAGES", "LIMIT_LIVE", "LIMIT_SIGN_IN", "LIMIT_SIGN_UP", "LIMIT_CONNECTIONS",
):  # fmt: skip
    os.environ.pop(name, None)
# A shell has what it starts in the background ignore Ctrl+C, and so would the servers that tests end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["SECRET_KEY"] = secrets.token_urlsafe(64)
# This mode has all that there is to test in one process. The others are tested through real servers.
os.environ["SERVER_MODE"] = "asgi"
os.environ["DJANGO_SETTINGS_MODULE"] = "wisheasy.settings"
django.setup()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory):
    from django.conf import settings

    database = settings.DATABASES["default"]
    # The threads of a test end with it, and nobody would close what they kept.
    database["CONN_MAX_AGE"] = 0
    if database["ENGINE"].endswith("sqlite3"):
        # A file and not memory, as in use: there readers do not wait for a writer (WAL).
        database.setdefault("TEST", {})["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


@pytest.fixture(autouse=True)
def static_files_need_not_be_collected(settings):
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
