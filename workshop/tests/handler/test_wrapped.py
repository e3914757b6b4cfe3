"""What a tracer puts around Django's own methods, or in their place, is called as under Django's own handler."""

import asyncio
import functools
import inspect
import threading

import pytest
from django.core import asgi
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.handlers import base, exception
from django.core.handlers.asgi import ASGIHandler
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.deprecation import MiddlewareMixin

from kit.serving.asgi import get_asgi_application
from kit.serving.handler import Handler

from .client import Client, scope_of
from .urls import TRAIL, WAITING

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators"),
]

METHODS = ["__call__", *(name for name in dir(ASGIHandler) if callable(getattr(ASGIHandler, name)) and name[0] != "_")]
METHODS.remove("request_class")
ELSEWHERE = [
    (base, "import_string"),
    (base, "convert_exception_to_response"),
    (exception, "response_for_exception"),
    (HttpResponseBase, "close"),
    (BaseCache, "close"),
    (CsrfViewMiddleware, "process_view"),
    (SecurityMiddleware, "process_response"),
    (MiddlewareMixin, "__call__"),
    (MiddlewareMixin, "__acall__"),
]


def count(monkeypatch, owner, name):
    """A list that has the name once for each call from now on."""
    calls, found = [], inspect.getattr_static(owner, name)
    function = getattr(found, "__func__", found)

    @functools.wraps(function)
    def counting(*arguments, **named):
        calls.append(name)
        return function(*arguments, **named)

    if inspect.iscoroutinefunction(function):
        inspect.markcoroutinefunction(counting)
    monkeypatch.setattr(owner, name, type(found)(counting) if isinstance(found, classmethod) else counting)
    return calls


async def visit(handler):
    # One that is there is closed at the end of a request.
    assert caches["default"]
    client = Client(handler)
    for path in ("/async", "/sync", "/raise-500-async", "/stream-async", "/stream-sync", "/file", "/nowhere"):
        await client.ask(path)
    await client.ask("/exempt", method="POST", body=b"a=" + b"x" * 3_000_000, pieces=20)
    await leave(handler)


async def leave(handler):
    """A client that goes away while it waits."""
    asked, waiting = [], asyncio.Event()
    WAITING.append(waiting)

    async def receive():
        if asked:
            await waiting.wait()
            return {"type": "http.disconnect"}
        asked.append(True)
        return {"type": "http.request"}

    async def send(message):
        raise AssertionError

    await asyncio.create_task(handler(scope_of("/waits"), receive, send))


@pytest.mark.parametrize("when", ["at-the-start", "later"])
@pytest.mark.parametrize("name", METHODS)
async def test_each_method_of_the_handler_is_called_as_often(threads, monkeypatch, name, when):
    counts = []
    for make in (ASGIHandler, lambda: Handler(threads)):
        with monkeypatch.context() as patched:
            if when == "later":
                handler = make()
                calls = count(patched, ASGIHandler, name)
            else:
                calls = count(patched, ASGIHandler, name)
                handler = make()
            await visit(handler)
            counts.append(len(calls))
    assert counts[1] == counts[0]


async def test_together_they_are_called_as_often_too(threads, monkeypatch):
    counts = []
    for make in (ASGIHandler, lambda: Handler(threads)):
        with monkeypatch.context() as patched:
            calls = [count(patched, ASGIHandler, name) for name in METHODS]
            await visit(make())
            counts.append({each[0]: len(each) for each in calls if each})
    assert counts[1] == counts[0]
    assert counts[0]["__call__"] == counts[0]["handle"] == counts[0]["listen_for_disconnect"] == 9


@pytest.mark.parametrize(("owner", "name"), ELSEWHERE, ids=[f"{owner.__name__}.{name}" for owner, name in ELSEWHERE])
async def test_what_is_put_around_the_rest_of_django_is_called_as_often(threads, monkeypatch, owner, name):
    counts = []
    for make in (ASGIHandler, lambda: Handler(threads)):
        with monkeypatch.context() as patched:
            calls = count(patched, owner, name)
            await visit(make())
            counts.append(len(calls))
    assert counts[1] == counts[0]
    assert counts[0]


async def test_what_is_put_around_get_asgi_application_serves(monkeypatch):
    called = []

    def wrapped(get=asgi.get_asgi_application):
        assert type(get()) is Handler

        async def around(scope, receive, send):
            called.append(scope["path"])

        return around

    monkeypatch.setattr(asgi, "get_asgi_application", wrapped)
    await get_asgi_application()(scope_of("/anything"), None, None)
    assert called == ["/anything"]
    assert asgi.ASGIHandler is ASGIHandler


async def test_a_thread_has_nothing_of_the_request_that_started_it(threads, monkeypatch):
    start, seen = threading.Thread.start, []

    # As sentry-sdk does, which gives the thread what belongs to the visitor.
    def patched(thread):
        seen.append(TRAIL.get())
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", patched)
    TRAIL.set("of the first")
    await Client(Handler(threads)).ask("/sync")
    assert seen == [""]
