#!/usr/bin/env python
import importlib.util
import os
import subprocess
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    if sys.argv[1:2] == ["test"]:
        # The tests are pytest's, and conftest.py chooses their settings.
        if importlib.util.find_spec("pytest") is None:
            sys.exit("The tests need the developers' packages: make test installs them and runs the tests.")
        sys.exit(subprocess.call([sys.executable, "-m", "pytest", *sys.argv[2:]]))  # noqa: S603
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wisheasy.settings")
    execute_from_command_line(sys.argv)
