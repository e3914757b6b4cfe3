#!/usr/bin/env python
import os
import subprocess
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    if sys.argv[1:2] == ["test"]:
        # The tests are pytest's, and conftest.py chooses their settings.
        sys.exit(subprocess.call([sys.executable, "-m", "pytest", *sys.argv[2:]]))  # noqa: S603
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wisheasy.settings")
    execute_from_command_line(sys.argv)
