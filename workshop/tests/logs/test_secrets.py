"""What of a text is hidden before it is written."""

import json
import logging
import sys

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.tokens import default_token_generator
from django.http import QueryDict
from django.test import RequestFactory

from apps.accounts.models import User
from kit.logs import HIDDEN, Json, Plain, one_line

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
        "Not Found: /accounts/sign-in",
        "Forbidden (CSRF cookie not set.): /accounts/sign-in",
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
    "repeat", ["token", "?", "a.", "cookie ", "://:", "password='", "token[", "\n", "&a=", "pbkdf2_$"]
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


def test_a_password_of_the_database_and_a_link_to_set_a_new_one_are_hidden():
    user = User(pk=1, username="u", password=make_password(SECRET))
    assert (
        one_line(f"Failing row contains (1, {user.password}, null)")
        == f"Failing row contains (1, pbkdf2_sha256${HIDDEN}, null)"
    )
    token = default_token_generator.make_token(user)
    assert token.split("-")[1] not in one_line(f"Not Found: /accounts/reset/MQ/{token}/")


def record(message="happened", **extra):
    return logging.getLogger("tests").makeRecord("tests", logging.INFO, __file__, 1, message, (), None, extra=extra)


def test_extra_fields_are_written_without_their_secrets():
    line = json.loads(
        Json().format(
            record(
                number=5,
                nothing=None,
                what="a\nb",
                session_key=SECRET,
                who=User(username="u"),
                time="no",
                request=SECRET,
            )
        )
    )
    assert line["number"] == 5
    assert line["nothing"] is None
    assert line["what"] == "a\\nb"
    assert line["who"] == "u"
    assert line["session_key"] == HIDDEN
    assert line["time"] != "no"
    assert "request" not in line


@pytest.mark.parametrize("formatter", [Json(), Plain()], ids=["json", "plain"])
@pytest.mark.parametrize("hostile", ["\n", "\r", "\x1b[31m", "\x9b31m", "\u2028", "\u202e", "\x00", "\udcff"])
def test_a_message_is_one_line_of_what_can_be_printed(formatter, hostile):
    line = formatter.format(record(f"a{hostile}b"))
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    line.encode()


@pytest.mark.parametrize("formatter", [Json(), Plain()], ids=["json", "plain"])
def test_an_error_of_an_error_is_written_without_secrets(formatter):
    try:
        try:
            raise ValueError(f"token={SECRET}")
        except ValueError as error:
            raise RuntimeError(f"/x?a={SECRET}\nforged \x1b[31m") from error
    except RuntimeError:
        event = record()
        event.exc_info = sys.exc_info()
    _, *rest = formatter.format(event).splitlines()
    assert SECRET not in formatter.format(event).replace("{SECRET}", "")
    assert [line for line in rest if not line.startswith("  ") or "\x1b" in line] == []
