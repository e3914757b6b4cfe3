import os
import secrets
import signal

import django
import pytest

from kit.environment import Environment, env

# What the settings read here. One that yours require gets its value for tests, such as "STRIPE_KEY": "for the tests".
VARIABLES = {"SECRET_KEY": secrets.token_urlsafe(64), "SERVER_MODE": "asgi"}
# Of the variables of the person who runs the tests these alone count.
SERVICES = ("DATABASE_URL", "REDIS_URL")


def read(parser, name, *arguments, **options):
    if name not in (*VARIABLES, *SERVICES):
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)
    return Environment.read(env, parser, name, *arguments, **options)


# A shell lets what it starts in the background ignore Ctrl+C, and so would the servers that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.update(VARIABLES, DJANGO_SETTINGS_MODULE="wisheasy.settings")
env.read = read
django.setup()
del env.read


class Person:
    """Someone at a browser: `client`, and `user` unless they have no account."""

    def __init__(self, name=None, **fields):
        from django.contrib.auth import get_user_model
        from django.test import Client

        self.client, self.user = Client(), None
        if name:
            self.user = get_user_model().objects.create_user(name, **fields)
            self.client.force_login(self.user)


@pytest.fixture
def owner(db):
    """Whose things they are."""
    return Person("owner")


@pytest.fixture
def member(db):
    """Has an account too."""
    return Person("member")


@pytest.fixture
def outsider(db):
    """Has no account."""
    return Person()


@pytest.fixture
def staff(db):
    """May do everything in the admin."""
    return Person("staff", is_staff=True, is_superuser=True)


@pytest.fixture(autouse=True)
def fast_settings(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Static files need not be collected.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory):
    from django.conf import settings
    from django.db import connection

    database = settings.DATABASES["default"]
    # The threads of a test end with it, and would leave what they kept open.
    database["CONN_MAX_AGE"] = 0
    if connection.vendor == "sqlite":
        # A file and not memory, as in production: there readers do not wait for a writer (WAL).
        database.setdefault("TEST", {})["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
