"""An engine around Django's own, as tracers and metrics have one. It fails as the file in FAULT says."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.sqlite3 import base
from psycopg_pool import PoolTimeout


class OwnError(Exception):
    pass


FAULTS = {fault.__name__: fault for fault in (OwnError, ImproperlyConfigured, PoolTimeout, OSError)}


class DatabaseWrapper(base.DatabaseWrapper):
    def cursor(self):
        fault = Path(os.environ["FAULT"])
        if fault.exists():
            raise FAULTS[fault.read_text()]("of host 10.1.2.3")
        return super().cursor()
