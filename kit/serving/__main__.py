"""`python -m kit.serving`: runs Gunicorn with the gunicorn.conf.py in this folder."""

import os

from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.exceptions import ImproperlyConfigured

# Load the settings first: they exit with a sentence for each wrong variable. Gunicorn reads WEB_CONCURRENCY on import,
# and would end in a traceback if it is not a number, or empty as Compose leaves it.
try:
    if settings.WEB_CONCURRENCY is None:
        os.environ.pop("WEB_CONCURRENCY", None)
except (ImproperlyConfigured, ModuleNotFoundError) as error:
    module = os.environ.get(ENVIRONMENT_VARIABLE, "")
    if module and not (isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")):
        raise
    raise SystemExit(
        f"{ENVIRONMENT_VARIABLE}={module!r} is wrong: expected the module of the project's settings."
    ) from None

# Processes that reload.py spawns import this file too.
if __name__ == "__main__":
    if settings.DEBUG:
        from .reload import serve_and_reload

        serve_and_reload()
    else:
        from gunicorn.app.wsgiapp import run
        from gunicorn.errors import AppImportError

        try:
            run(prog="gunicorn")
        except (AppImportError, ModuleNotFoundError) as error:
            name = settings.APPLICATION_SETTING
            value = getattr(settings, name)
            if isinstance(error, ModuleNotFoundError) and not value.startswith(f"{error.name}."):
                raise
            raise SystemExit(f"{name}={value!r} is wrong: {str(error).rstrip('.')}.") from None
