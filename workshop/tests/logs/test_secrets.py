"""What of a text is hidden before it is written."""

import json
import logging
import sys

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.tokens import default_token_generator
from django.http import QueryDict
from django.test import RequestFactory

from apps.accounts.models import User
from kit.logs import HIDDEN, Clean, formatter, one_line

SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"GET /x?token={SECRET}",
        f"/x?{SECRET}",
        f"/x?a={SECRET}&a={SECRET}&b=%20{SECRET}#{SECRET}",
        f"https://localhost/x?next=/y?password={SECRET}",
        f"password={SECRET}&other=1",
        f"other=1&password={SECRET}",
        f"csrftoken={SECRET}; sessionid={SECRET}",
        f"__Host-sessionid={SECRET}",
        f"Cookie: a={SECRET}; b={SECRET}",
        f"Set-Cookie: a={SECRET}; Path=/",
        f"Authorization: Basic {SECRET} {SECRET}",
        f"X-API-Key={SECRET}",
        f"{{'password': '{SECRET} {SECRET}', 'other': 1}}",
        f'{{"access_token": "{SECRET}"}}',
        f"{{'password': ['a', '{SECRET}']}}",
        repr({"password": f"'\" {SECRET}"}),
        f"[(b'cookie', b'a={SECRET}'), (b'authorization', b'Bearer {SECRET}')]",
        f"{{'query_string': b'a={SECRET}'}}",
        f"connecting to redis://:{SECRET}@redis:6379/0",
        f"connecting to postgres://user:{SECRET}@postgres/name",
        f"connecting to postgres://user:a@{SECRET}@postgres/name",
        f"password = {SECRET}",
        f"PASSWORD: {SECRET}",
        f"password='{SECRET}",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_hidden(text):
    line = one_line(text)
    assert SECRET not in line
    assert HIDDEN in line


@pytest.mark.parametrize(
    "text",
    [
        "Not Found: /accounts/login/",
        "Forbidden (CSRF cookie not set.): /accounts/login/",
        "Session data corrupted",
        "Is Redis up? No.",
        "Invalid HTTP_HOST header: 'evil.example'. You may need to add 'evil.example' to ALLOWED_HOSTS.",
        "Worker (pid:7) exited with code 3",
        "InvalidSessionKey: too short",
        "소원이 이루어졌습니다 🎉",
    ],
)
def test_what_does_not_is_kept(text):
    assert one_line(text) == text


@pytest.mark.parametrize(
    "repeat", ["token", "?", "a.", "cookie ", "://:", "password='", "token[", "\n", "&a=", "authorization", "pbkdf2_$"]
)
def test_no_text_is_too_long_to_be_read(repeat):
    one_line(repeat * 20_000)


def test_form_data_and_headers_of_django_are_hidden():
    request = RequestFactory().post(
        f"/x?a={SECRET}", {"password": SECRET}, headers={"cookie": f"a={SECRET}", "authorization": f"Basic {SECRET}"}
    )
    assert SECRET not in one_line(repr(request.META))
    assert SECRET not in one_line(repr(request))
    assert SECRET not in one_line(repr(QueryDict(f"csrfmiddlewaretoken={SECRET}&password=a&password={SECRET}")))


def test_a_stored_password_and_a_link_to_set_a_new_one_are_hidden():
    user = User(pk=1, username="u", password=make_password(SECRET, hasher=PBKDF2PasswordHasher()))
    row = f"Failing row contains (1, {user.password}, null)"
    assert one_line(row) == f"Failing row contains (1, pbkdf2_sha256${HIDDEN}, null)"
    token = default_token_generator.make_token(user)
    assert token.split("-")[1] not in one_line(f"Not Found: /accounts/reset/MQ/{token}/")


def record(message="happened", **extra):
    return logging.getLogger("tests").makeRecord("tests", logging.INFO, __file__, 1, message, (), None, extra=extra)


class Stream:
    def __init__(self, terminal):
        self.isatty = lambda: terminal


@pytest.fixture(params=[False, True], ids=["json", "plain"])
def written(request):
    """What a handler writes of a record."""
    return lambda record, **options: formatter(Stream(request.param)).format(Clean(**options).filter(record))


def test_extra_fields_are_written_without_their_secrets():
    event = record(number=5, nothing=None, what=f"a\nb ?{SECRET}", who=User(username="u"), time="no", request=SECRET)
    line = json.loads(formatter(Stream(False)).format(Clean().filter(event)))
    assert line["number"] == 5
    assert line["nothing"] is None
    assert line["what"] == f"a\\nb ?{HIDDEN}"
    assert line["who"] == "u"
    assert line["time"] != "no"
    assert "request" not in line


@pytest.mark.parametrize("hostile", ["\n", "\r", "\x1b[31m", "\x9b31m", "\u2028", "\u202e", "\x00", "\udcff"])
def test_a_message_is_one_line_of_what_can_be_printed(written, hostile):
    line = written(record(f"a{hostile}b"))
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    line.encode()


@pytest.fixture
def failed():
    """A record of an error with an error behind it, both of which hold what a client has sent."""
    event = record(f"failed ?{SECRET}")
    try:
        try:
            raise ValueError(f"token={SECRET}")
        except ValueError as error:
            raise RuntimeError(f"/x?a={SECRET}\nforged \x1b[31m") from error
    except RuntimeError:
        event.exc_info = sys.exc_info()
    return event


def test_an_error_of_an_error_is_written_without_secrets(written, failed):
    _, *rest = written(failed).splitlines()
    assert SECRET not in written(failed).replace("{SECRET}", "")
    assert [line for line in rest if not line.startswith("  ") or "\x1b" in line] == []


def test_an_error_that_a_stranger_can_cause_is_one_line(written, failed):
    assert "failed" in written(failed, traceback=False)
    assert "RuntimeError" not in written(failed, traceback=False)


def test_other_handlers_get_the_record_as_it_was(written, failed):
    written(failed)
    assert failed.getMessage() == f"failed ?{SECRET}"
    assert failed.exc_info
