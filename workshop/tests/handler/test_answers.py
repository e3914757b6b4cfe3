"""The ASGI handler of kit/serving answers to the letter what Django's own does: each case asks both."""

import re

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.middleware.common import CommonMiddleware

from kit.serving.handler import Handler
from kit.serving.middleware import InlineHooks, counterpart

from .client import BUILT_IN, Client, after, body, both, header, scope_of, settled, status

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # Sync iterators are among the cases.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators"),
]


SIMPLE = [
    "sync", "async", "slashed/", "slashed", "cookies", "stream-sync", "stream-async", "file", "redirect", "nowhere",
    "raise-404", "raise-404-async", "raise-403", "raise-403-async", "raise-400", "raise-400-async", "raise-500",
    "raise-500-async", "token", "session", "session-async", "message-add", "message-read", "language",
    "language-async", "user", "user-async", "template", "template-async",
    "template-replaced", "template-fails", "nonce", "no-policy", "form", "queries", "trail",
    "trail-async", "nothing",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize("path", SIMPLE)
async def test_the_answer_is_the_same(threads, path, method):
    (answer,) = await both(threads, {"path": f"/{path}", "method": method})
    assert status(answer) in (200, 301, 302, 400, 403, 404, 500)


@pytest.mark.parametrize("position", ["SecurityMiddleware", "CommonMiddleware", "XFrameOptionsMiddleware"])
@pytest.mark.parametrize(
    "middleware",
    ["sync_only", "async_only", "both", "TwoHalves", "Everything", "AnswersAtOnce", "RaisesBefore", "RaisesAfter"],
)
@pytest.mark.parametrize("path", ["sync", "async", "raise-500", "template-async", "session", "trail", "trail-async"])
async def test_other_peoples_middleware_in_the_list_changes_nothing(threads, settings, position, middleware, path):
    settings.MIDDLEWARE = after(position, middleware)
    queries = ["", "answer-in-view-hook", "catch", "answer-at-once", "raise-before", "raise-after"]
    await both(threads, *({"path": f"/{path}", "query": query} for query in queries))


async def test_all_of_them_together_change_nothing(threads, settings):
    settings.MIDDLEWARE = after("SessionMiddleware", "sync_only", "TwoHalves", "async_only", "both", "Everything")
    for path in (
        "sync",
        "async",
        "template",
        "template-fails",
        "trail",
        "trail-async",
        "thread-local",
        "raise-404",
        "stream-async",
    ):
        await both(threads, {"path": f"/{path}"})


async def test_an_unknown_host_is_refused_alike(threads):
    (answer,) = await both(threads, {"path": "/sync", "headers": {"host": "evil.example"}})
    assert status(answer) == 400


async def test_a_query_that_is_no_text_is_refused_alike(threads):
    async def ask(handler):
        sent = []

        async def receive():
            return {"type": "http.request"}

        async def send(message):
            sent.append(message)

        await handler({**scope_of("/sync"), "query_string": b"\xff"}, receive, send)
        return settled(sent)

    assert await ask(Handler(threads)) == await ask(ASGIHandler())


@pytest.mark.parametrize("path", ["raise-500", "raise-500-async", "nowhere", "raise-404"])
async def test_the_technical_pages_say_the_same(threads, settings, path):
    settings.DEBUG = True
    pages = []
    for handler in (ASGIHandler(), Handler(threads)):
        answer = settled(await Client(handler).ask(f"/{path}"))
        title = re.search(r"<title>(.*?)</title>", body(answer), re.DOTALL)[1]
        pages.append(
            (status(answer), header(answer, "content-type"), " ".join(title.split()), "of the view" in body(answer))
        )
        # They bring their own styles and scripts.
        assert header(answer, "content-security-policy") == []
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    "middleware",
    [
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
        "django.middleware.cache.UpdateCacheMiddleware",
    ],
)
async def test_the_other_built_in_middleware_do_the_same(threads, settings, middleware):
    settings.MIDDLEWARE = [*BUILT_IN, middleware] if "auth" in middleware else [middleware, *BUILT_IN]
    for path in ("/sync", "/async", "/stream-async", "/file"):
        first, _ = await both(
            threads,
            {"path": path, "headers": {"accept-encoding": "gzip"}},
            {"path": path, "headers": {"if-none-match": "*"}},
        )
        assert status(first) in (200, 302)


async def test_the_policy_names_a_nonce_where_the_page_has_asked_for_one(threads):
    with_one, without, overridden = await both(threads, {"path": "/nonce"}, {"path": "/async"}, {"path": "/no-policy"})
    assert "script-src 'nonce-*'" in header(with_one, "content-security-policy")[0]
    assert body(with_one) == '<script nonce="*"></script>'
    (policy,) = header(without, "content-security-policy")
    assert policy.startswith("default-src 'none'; ")
    assert "script-src" not in policy
    assert header(overridden, "content-security-policy") == []


async def test_no_two_pages_have_the_same_nonce(threads):
    client = Client(Handler(threads))
    assert len({(await client.ask("/nonce"))[1]["body"] for _ in range(3)}) == 3


async def test_a_cached_response_keeps_its_etag(threads, settings):
    settings.MIDDLEWARE = ["django.middleware.http.ConditionalGetMiddleware", *BUILT_IN]
    (first,) = await both(threads, {"path": "/sync"})
    (second,) = await both(threads, {"path": "/sync", "headers": {"if-none-match": header(first, "etag")[0]}})
    assert status(second) == 304


def test_a_subclass_of_a_built_in_middleware_may_do_anything_and_is_left_alone():
    class Subclass(CommonMiddleware):
        pass

    assert not issubclass(counterpart(Subclass), InlineHooks)
    assert issubclass(counterpart(CommonMiddleware), InlineHooks)
