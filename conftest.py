import os
import secrets
import signal

import django
import pytest

from kit.environment import Environment, env

# Variables that the settings read. Add test values for those that yours require, such as "STRIPE_KEY": "for the tests".
VARIABLES = {"SECRET_KEY": secrets.token_urlsafe(64), "SERVER_MODE": "asgi"}
# The only variables that count from the shell that runs the tests.
SERVICES = ("DATABASE_URL", "REDIS_URL")


def read(parser, name, *arguments, **options):
    if name not in (*VARIABLES, *SERVICES):
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)
    return Environment.read(env, parser, name, *arguments, **options)


# Shells make background processes ignore Ctrl+C, which servers started by tests would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.update(VARIABLES, DJANGO_SETTINGS_MODULE="wisheasy.settings")
env.read = read
django.setup()
del env.read


class Person:
    """Someone at a browser: `client`, and `user` if they have an account."""

    def __init__(self, name=None, **fields):
        from django.contrib.auth import get_user_model
        from django.test import Client

        self.client, self.user = Client(), None
        if name:
            self.user = get_user_model().objects.create_user(name, **fields)
            self.client.force_login(self.user)


@pytest.fixture
def owner(db):
    """Owns the objects."""
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
    """Has all permissions in the admin."""
    return Person("staff", is_staff=True, is_superuser=True)


@pytest.fixture(autouse=True)
def fast_settings(settings, tmp_path_factory):
    # Keep test uploads out of var/media.
    settings.MEDIA_ROOT = tmp_path_factory.getbasetemp() / "media"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Allow missing static files.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory):
    from django.conf import settings
    from django.db import connection

    database = settings.DATABASES["default"]
    # A test's threads end with it, and would leave their kept connections open.
    database["CONN_MAX_AGE"] = 0
    if connection.vendor == "sqlite":
        # A file, not memory: as in production, readers then do not wait for a writer (WAL).
        database.setdefault("TEST", {})["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
