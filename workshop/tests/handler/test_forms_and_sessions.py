"""Forms, tokens, sessions, messages, language and user: what the middleware keep between requests."""

import json
from urllib.parse import urlencode

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.core.handlers.asgi import ASGIHandler

from apps.accounts.models import User
from kit.serving.handler import Handler

from .client import Client, body, both, header, settled, status

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # Sync iterators are among the cases.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators"),
]


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
    settings.CSRF_FAILURE_VIEW = "workshop.tests.handler.urls.csrf_failure"
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


SESSION_ENGINES = [
    "kit.sessions",
    *(f"django.contrib.sessions.backends.{name}" for name in ("db", "signed_cookies", "cache", "cached_db")),
]


@pytest.mark.parametrize("engine", SESSION_ENGINES)
async def test_a_session_is_kept_from_request_to_request(threads, settings, engine):
    settings.SESSION_ENGINE = engine
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


async def test_the_user_is_the_one_of_the_session(threads, settings):
    def sign_in(client):
        user, _ = User.objects.get_or_create(username="somebody")
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        client.cookies["sessionid"] = session.session_key

    for path in ("/user", "/user-async"):
        (answer,) = await both(threads, {"path": path}, before=sign_in)
        assert body(answer) == "True somebody"
