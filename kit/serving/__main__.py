"""`python -m kit.serving`: Gunicorn, as gunicorn.conf.py in this folder says."""

import os

from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.exceptions import ImproperlyConfigured

# First: they stop here with a sentence for each wrong variable. Gunicorn reads WEB_CONCURRENCY as soon as it is
# imported, and would end in a traceback where it is no number, or empty as Compose leaves it.
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

# A process that reload.py starts looks into this file as well.
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
