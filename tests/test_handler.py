"""The ASGI handler of wisheasy/serving answers to the letter what Django's own does: each case asks both."""

import asyncio
import gzip
import json
import re
import threading
from urllib.parse import urlencode

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.core import signals
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpResponse, StreamingHttpResponse
from django.middleware.common import CommonMiddleware

from apps.accounts.models import User
from wisheasy.serving.handler import Handler
from wisheasy.serving.middleware import InlineHooks, counterpart
from wisheasy.serving.threads import RequestExecutor, Threads

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # Sync iterators are among the cases.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators"),
]

BUILT_IN = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
OTHERS = "tests.handler_middleware."
BOUND = 2


def after(name, *middleware):
    """BUILT_IN with these behind the middleware of that name."""
    place = next(index for index, each in enumerate(BUILT_IN) if each.endswith(name)) + 1
    return [*BUILT_IN[:place], *(OTHERS + each for each in middleware), *BUILT_IN[place:]]


@pytest.fixture
def threads(settings):
    settings.ROOT_URLCONF = "tests.handler_urls"
    settings.MIDDLEWARE = BUILT_IN
    threads = Threads(BOUND)
    yield threads
    close_connections(threads)


def close_connections(threads):
    """On every thread of the set, or PostgreSQL would not let the test database go."""
    together = threading.Barrier(threads.started + 1)

    def close():
        together.wait(5)
        connections.close_all()

    futures = [RequestExecutor(threads).submit(close) for _ in range(threads.started)]
    together.wait(5)
    for future in futures:
        future.result(5)


class Client:
    """Sends requests to a handler as a server would, and keeps cookies."""

    def __init__(self, handler):
        self.handler = handler
        self.cookies = {}

    async def ask(self, path, method="GET", headers=None, body=b"", pieces=1, query=""):
        """The messages that the handler sends: [start, body, …]."""
        headers = {"host": "localhost", **(headers or {})}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body:
            headers.setdefault("content-type", "application/x-www-form-urlencoded")
            headers["content-length"] = str(len(body))
        size = -(-len(body) // pieces) or 1
        parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
        incoming = [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, 1)
        ]
        sent = []

        async def receive():
            if incoming:
                return incoming.pop(0)
            await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        scope = scope_of(path, method, headers, query)
        await asyncio.create_task(self.handler(scope, receive, send))
        for header, text in sent[0]["headers"] if sent else ():
            if header.lower() == b"set-cookie":
                cookie, _, rest = text.decode().partition(";")
                name, _, value = cookie.partition("=")
                self.cookies[name] = value
                if "Max-Age=0" in rest:
                    del self.cookies[name]
        return sent


def scope_of(path, method="GET", headers=None, query=""):
    return {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {"host": "localhost"}).items()],
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 8000),
    }


VOLATILE = [
    # Cookies and tokens are random, and dates pass.
    (rb"((?:csrftoken|sessionid|messages)=)[^;]+", rb"\1*"),
    (rb"(expires=)[^;]+", rb"\1*"),
    (rb'(name="csrfmiddlewaretoken" value=")\w+', rb"\1*"),
    (rb'(nonce[-=]"?)[\w-]+', rb"\1*"),
]


def settled(messages):
    """What must be the same: all but what is random, with the parts of a streamed body as they came."""
    if not messages:
        return []
    start, *parts = messages
    headers = [(name, hide(value)) for name, value in start["headers"]]
    if (b"Content-Encoding", b"gzip") in headers:
        # Django puts something random into each, so that its length tells nothing of its content.
        headers = [(name, value) for name, value in headers if name != b"Content-Length"]
        parts = [{"body": gzip.decompress(b"".join(part.get("body", b"") for part in parts))}]
    return [
        (start["status"], headers),
        *((hide(part.get("body", b"")), part.get("more_body", False)) for part in parts),
    ]


def hide(value):
    for pattern, replacement in VOLATILE:
        value = re.sub(pattern, replacement, value)
    return value


async def both(threads, *requests, before=None):
    """Ask each handler all these requests, one after the other with cookies kept; its answers must be the same.

    The answers of Handler.
    """
    answers = []
    for handler in (ASGIHandler(), Handler(threads)):
        client = Client(handler)
        if before:
            await database_sync_to_async(before)(client)
        answers.append([settled(await client.ask(**request)) for request in requests])
    assert answers[1] == answers[0]
    return answers[1]


def status(answer):
    return answer[0][0]


def header(answer, name):
    return [value.decode() for key, value in answer[0][1] if key.lower() == name.lower().encode()]


def body(answer):
    return b"".join(part for part, _ in answer[1:]).decode()


SIMPLE = [
    "sync", "async", "slashed/", "slashed", "cookies", "stream-sync", "stream-async", "file", "redirect", "nowhere",
    "raise-404", "raise-404-async", "raise-403", "raise-403-async", "raise-400", "raise-400-async", "raise-500",
    "raise-500-async", "token", "session", "session-async", "message-add", "message-read", "language",
    "language-async", "user", "user-async", "template-async", "form", "queries", "trail", "trail-async", "nothing",
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
    for path in ("sync", "async", "trail", "trail-async", "thread-local", "raise-404", "stream-async"):
        await both(threads, {"path": f"/{path}"})


@pytest.mark.parametrize("path", ["thread-local", "thread-local-async"])
@pytest.mark.parametrize("middleware", ["sync_only", "TwoHalves"])
async def test_a_middleware_finds_what_it_left_on_its_thread(threads, settings, middleware, path):
    settings.MIDDLEWARE = after("CommonMiddleware", middleware)
    client = Client(Handler(threads))
    answers = await asyncio.gather(*(client.ask(f"/{path}") for _ in range(BOUND * 5)))
    name = {"sync_only": "X-Sync-Only", "TwoHalves": "X-Two-Halves"}[middleware]
    for answer in map(settled, answers):
        assert header(answer, name) == ["kept"]
        assert body(answer) == "kept"


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
    assert pages[0] == pages[1]


def form_of(size=3, **fields):
    return urlencode({"name": "x" * size, **fields}).encode()


async def with_token(threads, settings, **request):
    """GET a token, then POST with it."""

    async def post(handler):
        client = Client(handler)
        await client.ask("/token")
        if settings.CSRF_USE_SESSIONS:
            store = SessionStore(client.cookies["sessionid"])
            secret = await database_sync_to_async(store.get)("_csrftoken")
        else:
            secret = client.cookies["csrftoken"]
        body = request["body"].replace(b"SECRET", secret.encode())
        return settled(await client.ask(**{**request, "method": "POST", "body": body}))

    answer = await post(Handler(threads))
    assert answer == await post(ASGIHandler())
    return answer


@pytest.mark.parametrize("in_session", [False, True], ids=["cookie", "session"])
@pytest.mark.parametrize("size", [3, 100_000, 3_000_000], ids=["small", "large", "on-disk"])
@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("path", ["echo", "echo-async"])
async def test_a_form_with_its_token_is_taken(threads, settings, path, in_session, size, pieces):
    settings.CSRF_USE_SESSIONS = in_session
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000_000
    body = form_of(size, csrfmiddlewaretoken="SECRET")
    answer = await with_token(threads, settings, path=f"/{path}", body=body, pieces=pieces)
    assert status(answer) == 200


@pytest.mark.parametrize("in_session", [False, True], ids=["cookie", "session"])
@pytest.mark.parametrize(
    "body", [form_of(), form_of(csrfmiddlewaretoken="wrong"), form_of(csrfmiddlewaretoken="x" * 64)]
)
async def test_a_form_without_its_token_is_refused(threads, settings, in_session, body):
    settings.CSRF_USE_SESSIONS = in_session
    assert status(await with_token(threads, settings, path="/echo", body=body)) == 403


async def test_the_page_that_refuses_a_form_may_query(threads, settings):
    settings.CSRF_FAILURE_VIEW = "tests.handler_urls.csrf_failure"
    answer = await with_token(threads, settings, path="/echo", body=form_of())
    assert (status(answer), body(answer)) == (403, "refused, 0 users")


async def test_a_form_from_a_foreign_page_is_refused(threads, settings):
    request = {
        "path": "/echo",
        "body": form_of(csrfmiddlewaretoken="SECRET"),
        "headers": {"origin": "https://evil.example"},
    }
    assert status(await with_token(threads, settings, **request)) == 403


async def test_an_upload_is_taken(threads):
    boundary = "the-boundary"
    upload = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="document"; filename="a.txt"\r\n'
        f"Content-Type: text/plain\r\n\r\ntext\r\n--{boundary}--\r\n"
    ).encode()
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    for pieces in (1, 3):
        request = {"path": "/exempt", "method": "POST", "headers": headers, "body": upload, "pieces": pieces}
        (answer,) = await both(threads, request)
        assert json.loads(body(answer))["files"] == {"document": "text"}


async def test_a_body_over_the_limit_is_refused_alike(threads, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    (answer,) = await both(threads, {"path": "/exempt", "method": "POST", "body": form_of(2000)})
    assert status(answer) == 400


SESSION_ENGINES = ["db", "signed_cookies", "cache", "cached_db"]


@pytest.mark.parametrize("engine", SESSION_ENGINES)
async def test_a_session_is_kept_from_request_to_request(threads, settings, engine):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    answers = await both(threads, *({"path": path} for path in ("/session", "/session-async", "/session", "/sync")))
    assert [body(answer) for answer in answers] == ["1", "2", "3", "sync"]


async def test_a_session_is_not_saved_at_500(threads):
    answers = await both(threads, {"path": "/session", "query": "status=500"}, {"path": "/session"})
    assert body(answers[1]) == "1"


async def test_a_session_that_was_ended_meanwhile_is_refused(threads):
    (answer,) = await both(threads, {"path": "/session-interrupted"})
    assert status(answer) == 400


async def test_a_flushed_session_takes_its_cookie_with_it(threads):
    answers = await both(threads, {"path": "/session"}, {"path": "/session-flush"}, {"path": "/session"})
    assert body(answers[2]) == "1"


async def test_a_session_that_is_saved_with_every_request_gets_its_cookie_each_time(threads, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    answers = await both(threads, {"path": "/session"}, {"path": "/sync"}, {"path": "/async"})
    assert all(header(answer, "set-cookie") for answer in answers)


@pytest.mark.parametrize("storage", ["fallback.FallbackStorage", "session.SessionStorage", "cookie.CookieStorage"])
async def test_messages_are_kept_until_they_are_read(threads, settings, storage):
    settings.MESSAGE_STORAGE = f"django.contrib.messages.storage.{storage}"
    paths = ["/message-add", "/sync", "/message-add", "/message-read", "/message-read"]
    answers = await both(threads, *({"path": path} for path in paths))
    assert [body(answer) for answer in answers[3:]] == ["a message a message", ""]


async def test_the_language_is_that_of_the_request(threads):
    headers = {"accept-language": "ko"}
    for path in ("/language", "/language-async"):
        korean, english = await both(threads, {"path": path, "headers": headers}, {"path": path})
        assert (header(korean, "content-language"), header(english, "content-language")) == (["ko"], ["en"])


async def test_the_user_is_the_one_of_the_session(threads):
    def sign_in(client):
        user, _ = User.objects.get_or_create(username="somebody")
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        client.cookies["sessionid"] = session.session_key

    for path in ("/user", "/user-async"):
        (answer,) = await both(threads, {"path": path}, before=sign_in)
        assert body(answer) == "True somebody"


@pytest.mark.parametrize(
    "middleware",
    [
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.csp.ContentSecurityPolicyMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
        "django.middleware.cache.UpdateCacheMiddleware",
    ],
)
async def test_the_other_built_in_middleware_do_the_same(threads, settings, middleware):
    settings.MIDDLEWARE = [*BUILT_IN, middleware] if "auth" in middleware else [middleware, *BUILT_IN]
    settings.SECURE_CSP = {"default-src": ["'self'"]}
    for path in ("/sync", "/async", "/stream-async", "/file"):
        first, _ = await both(
            threads,
            {"path": path, "headers": {"accept-encoding": "gzip"}},
            {"path": path, "headers": {"if-none-match": "*"}},
        )
        assert status(first) in (200, 302)


async def test_a_cached_response_keeps_its_etag(threads, settings):
    settings.MIDDLEWARE = ["django.middleware.http.ConditionalGetMiddleware", *BUILT_IN]
    (first,) = await both(threads, {"path": "/sync"})
    (second,) = await both(threads, {"path": "/sync", "headers": {"if-none-match": header(first, "etag")[0]}})
    assert status(second) == 304


async def test_atomic_requests_undo_what_a_failing_view_did(threads, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    for name, handler in (("stock", ASGIHandler()), ("own", Handler(threads))):
        client = Client(handler)
        good = settled(await client.ask("/atomic", query=f"name=good-{name}"))
        bad = settled(await client.ask("/atomic", query=f"name=bad-{name}&fail"))
        assert (status(good), body(good), status(bad)) == (200, "True", 500)
    names = await database_sync_to_async(lambda: set(User.objects.values_list("username", flat=True)))()
    assert names == {"atomic-good-stock", "atomic-good-own"}


async def test_an_open_transaction_keeps_its_thread(threads):
    client = Client(Handler(threads))
    answers = await asyncio.gather(*(client.ask("/transaction-async", query=f"name={name}") for name in range(8)))
    assert {(status(answer), body(answer)) for answer in map(settled, answers)} == {(200, "0")}


async def test_signals_reach_every_receiver_in_djangos_order(threads):
    calls = []

    def started(**kwargs):
        calls.append("sync started")

    async def started_async(**kwargs):
        calls.append("async started")

    def finished(**kwargs):
        calls.append("sync finished")

    async def finished_async(**kwargs):
        calls.append("async finished")

    signals.request_started.connect(started)
    signals.request_started.connect(started_async)
    signals.request_finished.connect(finished)
    signals.request_finished.connect(finished_async)
    try:
        for handler in (ASGIHandler(), Handler(threads)):
            calls.clear()
            await Client(handler).ask("/async")
            assert calls == ["sync started", "async started", "sync finished", "async finished"]
    finally:
        signals.request_started.disconnect(started)
        signals.request_started.disconnect(started_async)
        signals.request_finished.disconnect(finished)
        signals.request_finished.disconnect(finished_async)


async def closing(handler, view):
    """Answer with what `view` makes; the response, when the request is over."""
    made = []

    async def chain(request):
        made.append(view())
        return made[0]

    handler._middleware_chain = chain
    await Client(handler).ask("/anything")
    return made[0]


@pytest.mark.parametrize("kind", ["stock", "own"])
async def test_a_response_is_closed_with_all_that_hangs_on_it(threads, kind):
    handler = {"stock": ASGIHandler, "own": lambda: Handler(threads)}[kind]()
    closed = []

    def view():
        response = HttpResponse("x")
        response._resource_closers.append(lambda: closed.append(True))
        return response

    assert (await closing(handler, view)).closed
    assert closed == [True]
    assert (await closing(handler, lambda: HttpResponse("x"))).closed


async def disconnecting(handler, path, after_seconds, monkeypatch=None):
    """A client that sends a request and is gone `after_seconds` later. What was sent to it, and how the task ended."""
    sent, asked = [], []

    async def receive():
        if not asked:
            asked.append(True)
            return {"type": "http.request"}
        await asyncio.sleep(after_seconds)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    task = asyncio.create_task(handler(scope_of(path), receive, send))
    done, _ = await asyncio.wait([task], timeout=5)
    assert done
    return sent, task.exception()


@pytest.mark.parametrize("kind", ["stock", "own"])
async def test_a_client_that_goes_away_ends_the_view(threads, kind):
    handler = {"stock": ASGIHandler, "own": lambda: Handler(threads)}[kind]()
    seen, finished = [], []

    async def chain(request):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    def count(**kwargs):
        finished.append(True)

    signals.request_finished.connect(count)
    handler._middleware_chain = chain
    try:
        sent, error = await disconnecting(handler, "/anything", 0.1)
    finally:
        signals.request_finished.disconnect(count)
    assert (sent, error, seen, finished) == ([], None, ["cancelled"], [True])


@pytest.mark.parametrize("kind", ["stock", "own"])
async def test_a_client_that_goes_away_ends_its_stream(threads, kind):
    handler = {"stock": ASGIHandler, "own": lambda: Handler(threads)}[kind]()
    ended = []

    async def parts():
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.02)
        finally:
            ended.append(True)

    async def chain(request):
        response = StreamingHttpResponse(parts())
        response._resource_closers.append(lambda: ended.append("closed"))
        return response

    handler._middleware_chain = chain
    sent, error = await disconnecting(handler, "/anything", 0.2)
    assert len(sent) > 3
    assert (error, ended) == (None, [True, "closed"])


@pytest.mark.parametrize("kind", ["stock", "own"])
async def test_a_client_that_goes_away_before_its_body_came_is_no_request(threads, kind):
    handler = {"stock": ASGIHandler, "own": lambda: Handler(threads)}[kind]()
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await handler(scope_of("/sync"), receive, send)
    assert sent == []


@pytest.mark.parametrize("seconds", [0.0, 0.2], ids=["at-once", "later"])
@pytest.mark.parametrize("kind", ["stock", "own"])
async def test_a_cancelled_request_is_cancelled(threads, kind, seconds):
    handler = {"stock": ASGIHandler, "own": lambda: Handler(threads)}[kind]()
    begun = asyncio.Event()

    async def chain(request):
        begun.set()
        await asyncio.sleep(10)

    handler._middleware_chain = chain

    async def receive():
        if not begun.is_set():
            return {"type": "http.request"}
        await asyncio.Event().wait()

    async def send(message):
        pass

    task = asyncio.create_task(handler(scope_of("/anything"), receive, send))
    await begun.wait()
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_outlives_its_request_can_still_query(threads):
    handler = Handler(threads)
    tasks = []

    async def later():
        await asyncio.sleep(0.05)
        return await User.objects.acount()

    async def chain(request):
        tasks.append(asyncio.create_task(later()))
        return HttpResponse("x")

    handler._middleware_chain = chain
    await Client(handler).ask("/anything")
    assert await tasks[0] == 0


async def test_there_are_never_more_threads_than_the_bound(threads):
    client = Client(Handler(threads))
    at_once, most, lock = [0], [0], threading.Lock()

    def view():
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        threading.Event().wait(0.02)
        with lock:
            at_once[0] -= 1

    async def chain(request):
        await sync_to_async(view)()
        return HttpResponse("x")

    client.handler._middleware_chain = chain
    answers = await asyncio.gather(*(client.ask("/anything") for _ in range(30)))
    assert all(answer[0]["status"] == 200 for answer in answers)
    assert (threads.started, most[0]) == (BOUND, BOUND)


async def test_who_waits_for_something_slow_keeps_no_thread_from_the_others(threads):
    async def chain(request):
        await User.objects.acount()
        await asyncio.sleep(0.5)
        await User.objects.acount()
        return HttpResponse("x")

    client = Client(Handler(threads))
    client.handler._middleware_chain = chain
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(client.ask("/anything") for _ in range(40)))
    assert all(answer[0]["status"] == 200 for answer in answers)


async def test_a_thread_outlives_what_goes_wrong_on_it(threads, monkeypatch):
    failures = [RuntimeError("of the database")] * BOUND

    def fails_at_first():
        if failures:
            raise failures.pop()

    monkeypatch.setattr("wisheasy.serving.threads.close_old_connections", fails_at_first)
    client = Client(Handler(threads))
    first = [(await client.ask("/sync"))[0]["status"] for _ in range(BOUND)]
    assert first.count(500) >= 1
    assert (await client.ask("/sync"))[0]["status"] == 200


async def test_connections_are_kept_between_requests(threads, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 60)
    keys = set()

    async def chain(request):
        keys.add(await sync_to_async(lambda: id(ensured().connection))())
        return HttpResponse("x")

    def ensured():
        connections["default"].ensure_connection()
        return connections["default"]

    client = Client(Handler(threads))
    client.handler._middleware_chain = chain
    for _ in range(10):
        await client.ask("/anything")
    assert len(keys) == 1


def test_a_subclass_of_a_built_in_middleware_may_do_anything_and_is_left_alone():
    class Subclass(CommonMiddleware):
        pass

    assert not issubclass(counterpart(Subclass), InlineHooks)
    assert issubclass(counterpart(CommonMiddleware), InlineHooks)
