"""`python -m kit.serving`: Gunicorn, as gunicorn.conf.py in this folder says."""

import os

# First: they stop here with a sentence for each wrong variable. Gunicorn reads WEB_CONCURRENCY by itself as soon as it
# is imported, and would end in a traceback where it is no number, or empty as Compose leaves it.
from django.conf import settings

if settings.WEB_CONCURRENCY is None:
    os.environ.pop("WEB_CONCURRENCY", None)

# A process that reload.py starts looks into this file as well.
if __name__ == "__main__":
    if settings.DEBUG:
        from .reload import serve_and_reload

        serve_and_reload()
    else:
        from gunicorn.app.wsgiapp import run

        run(prog="gunicorn")
