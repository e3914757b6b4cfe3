import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", [["manage.py", "check"], ["manage.py", "migrate_once"], ["-m", "kit.serving"]])
@pytest.mark.parametrize("mode", ["wsgi", "asgi"])
def test_an_engine_that_cannot_be_loaded_is_one_sentence(mode, command):
    variables = {
        "DJANGO_SETTINGS_MODULE": "wisheasy.settings", "SERVER_MODE": mode, "DATABASE_URL": "mysql://user@localhost/name",
    }  # fmt: skip
    result = subprocess.run(
        [sys.executable, *command], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr == (
        "ENGINE='django.db.backends.mysql' of the database 'default' can't be loaded: Error loading MySQLdb module. "
        "Did you install mysqlclient?\n"
    )
