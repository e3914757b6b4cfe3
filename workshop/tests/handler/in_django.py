"""Runs suites of Django's own tests with the project's ASGI handler in the place of Django's, and of its test client's:
python in_django.py FOLDER SUITE…, where FOLDER is the `tests` of its source."""

import runpy
import sys

import django

_setup = django.setup


def setup(*arguments, **options):
    _setup(*arguments, **options)
    # Once: runtests.py calls it again.
    django.setup = _setup
    put_in_place()


def put_in_place():
    from django.core import asgi
    from django.core.handlers import asgi as handlers
    from django.test import client

    from kit.serving.handler import Handler
    from kit.serving.threads import RequestContext, Threads

    threads = Threads(8)

    class OfAProject(Handler):
        def __init__(self):
            super().__init__(threads)

    class OfAClient(client.AsyncClientHandler, Handler):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, threads=threads, **options)
            # Django's loads it with the first request.
            self._middleware_chain = None

        async def __call__(self, scope):
            async with RequestContext(threads):
                return await super().__call__(scope)

    handlers.ASGIHandler = asgi.ASGIHandler = OfAProject
    client.AsyncClientHandler = OfAClient


folder, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = "runtests.py"
sys.path.insert(0, folder)
django.setup = setup
runpy.run_path(f"{folder}/runtests.py", run_name="__main__")
