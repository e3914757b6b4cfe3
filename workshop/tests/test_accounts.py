"""Accounts on real servers, from sign-up to signing out everywhere, with a second factor, and as others set them up."""

import base64
import hmac
import html
import re
import time
from unittest.mock import patch

import pytest
from allauth.core.internal.ratelimit import cache_lock
from django.core.cache import caches
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from workshop.tests.servers import EMBEDDED_MODES, PASSWORD, serve
from workshop.tests.stack.test_forgeries import forgeries

ANOTHER = f"{PASSWORD}-and-more"
EMAIL = "mina@example.com"
ACTIVATE = "/accounts/2fa/totp/activate/"
FACTOR = "/accounts/2fa/authenticate/"
# What nobody gets between the password and the code, and how: pages of the account, a conversation's, its topic.
FOR_MEMBERS = {
    "/accounts/email/": 302,
    "/accounts/2fa/": 302,
    "/talks/": 302,
    "/talks/1": 302,
    "/live/talks/1/changes": 403,
}
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')


def send(client, path, **data):
    token = TOKEN.search(client.get(path, follow_redirects=True).text)[1]
    return client.post(path, data={**data, "csrfmiddlewaretoken": token})


def token_in(client):
    return TOKEN.search(client.get("/accounts/login/", follow_redirects=True).text)[1]


def sign_in(client, login="mina", password=PASSWORD):
    return send(client, "/accounts/login/", login=login, password=password)


def sign_up(client, name="mina", **more):
    return send(client, "/accounts/signup/", username=name, password1=PASSWORD, password2=PASSWORD, **more)


def is_signed_in(client):
    return 'class="who"' in client.get("/").text


def link_in_the_newest_mail(client):
    number = re.search(r"/dev/mail/(\d+)", client.get("/dev/mail/").text)[1]
    text = html.unescape(client.get(f"/dev/mail/{number}").text)
    return re.search(r"https?://[^/\s]+(/accounts/[^\s\"<]+)", text)[1]


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_an_account_from_sign_up_to_signing_out_everywhere(mode, tmp_path):
    with serve(mode, tmp_path) as server, server.client() as here, server.client() as there:
        assert sign_up(here, email=EMAIL).status_code == 302
        assert EMAIL in here.get("/").text
        confirm = link_in_the_newest_mail(here)
        assert send(here, confirm).status_code == 302
        assert "Verified" in here.get("/accounts/email/").text
        # By address, of which case does not matter.
        assert sign_in(there, EMAIL.upper()).status_code == 302
        assert "127.0.0.1" in here.get("/accounts/sessions/").text
        assert send(here, "/accounts/sessions/").status_code == 302
        assert (is_signed_in(here), is_signed_in(there)) == (True, False)
        assert sign_in(there).status_code == 302
        changed = send(here, "/accounts/password/change/", oldpassword=PASSWORD, password1=ANOTHER, password2=ANOTHER)
        assert changed.status_code == 302
        # Who has the old password is out, and the new one counts.
        assert (is_signed_in(here), is_signed_in(there)) == (True, False)
        assert sign_in(there).status_code == 422
        assert send(there, "/accounts/password/reset/", email=EMAIL).status_code == 302
        form = there.get(link_in_the_newest_mail(there)).headers["Location"]
        assert send(there, form, password1=PASSWORD, password2=PASSWORD).status_code == 302
        assert sign_in(there).status_code == 302
        assert not is_signed_in(here)


def code_of(secret):
    """RFC 6238, as an authenticator app does it."""
    digest = hmac.digest(base64.b32decode(secret), (int(time.time()) // 30).to_bytes(8), "sha1")
    place = digest[-1] & 15
    return f"{(int.from_bytes(digest[place : place + 4]) & 0x7FFFFFFF) % 1_000_000:06}"


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_a_second_factor_is_one_line(mode, tmp_path):
    settings = "workshop.tests.second_factor_settings"
    with serve(mode, tmp_path, DJANGO_SETTINGS_MODULE=settings) as server, server.client() as here:
        sign_up(here, email=EMAIL)
        send(here, link_in_the_newest_mail(here))
        # The password is asked for once more.
        asked = here.get(ACTIVATE).headers["Location"]
        assert asked.startswith("/accounts/reauthenticate/")
        send(here, asked, password=PASSWORD)
        assert send(here, ACTIVATE, code="000000").status_code == 422
        page = here.get(ACTIVATE)
        # In the page, because the policy allows no data: address.
        assert "<svg" in page.text.split("<main")[1]
        assert "data:" not in page.text
        (secret,) = re.findall(r'value="([A-Z2-7]{32})"', page.text)
        form = {"code": code_of(secret), "csrfmiddlewaretoken": TOKEN.search(page.text)[1]}
        assert here.post(ACTIVATE, data=form).status_code == 302
        recovery = re.findall(r"\b\d{8}\b", here.get("/accounts/2fa/recovery-codes/").text)
        assert len(recovery) == 10
        with server.client() as there:
            sign_in(there)
            assert {path: there.get(path).status_code for path in FOR_MEMBERS} == FOR_MEMBERS
            forged = forgeries(server.url, {"code": recovery[2]}, token_in(there), token_in(here))
            assert {there.post(FACTOR, **request).status_code for request in forged.values()} == {403}
            assert not is_signed_in(there)
            assert send(there, FACTOR, code=recovery[2]).status_code == 302
        # Of the app's codes this one counts for long enough.
        if (passed := time.time() % 30) > 20:
            time.sleep(30.5 - passed)
        for code in (code_of(secret), recovery[0]):
            with server.client() as there:
                assert sign_in(there).headers["Location"].startswith(FACTOR)
                assert not is_signed_in(there)
                assert send(there, FACTOR, code="000000").status_code == 422
                assert send(there, FACTOR, code=code).status_code == 302
                assert is_signed_in(there)
            with server.client() as there:
                sign_in(there)
                # Once.
                assert send(there, FACTOR, code=code).status_code == 422
                assert not is_signed_in(there)
        with server.client() as there:
            sign_in(there)
            guesses = [send(there, FACTOR, code=f"{number:06}") for number in range(5)]
            assert {guess.status_code for guess in guesses} == {422}
            assert "Too many failed" in guesses[-1].text
            assert send(there, FACTOR, code=recovery[1]).status_code == 422
            assert not is_signed_in(there)
        passkey = here.get("/accounts/2fa/webauthn/add/", follow_redirects=True)
        assert passkey.status_code == 200
        (nonce,) = re.findall("'nonce-([^']+)'", passkey.headers["Content-Security-Policy"])[:1]
        scripts = re.findall("<script src=[^>]*>", passkey.text)
        assert len(scripts) == 3
        assert all(f'nonce="{nonce}"' in script for script in scripts)
        assert "publickey" not in passkey.headers["Permissions-Policy"]


ONE_BY_ADDRESS = {"ACCOUNT_LOGIN_METHODS": {"email"}, "ACCOUNT_SIGNUP_FIELDS": ["email*", "password1*", "password2*"]}
BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changed",
    [
        ONE_BY_ADDRESS,
        {"ACCOUNT_LOGIN_METHODS": {"username"}},
        {"AUTHENTICATION_BACKENDS": BACKENDS},
        {"AUTHENTICATION_BACKENDS": BACKENDS[::-1]},
        {"ACCOUNT_EMAIL_VERIFICATION": "mandatory", **ONE_BY_ADDRESS},
        {"ACCOUNT_EMAIL_VERIFICATION": "none"},
    ],
    ids=["by address", "by name", "two backends", "two backends the other way", "confirmed first", "never confirmed"],
)
def test_whatever_is_chosen_one_signs_up_and_in(settings, changed):
    for name, value in changed.items():
        setattr(settings, name, value)
    client, cache = Client(), caches["default"]
    cache.clear()
    data = {"username": "mina", "email": EMAIL, "password1": PASSWORD, "password2": PASSWORD}
    assert client.post(reverse("account_signup"), data).status_code == 302
    assert User.objects.get().email == EMAIL
    login = "mina" if "username" in settings.ACCOUNT_LOGIN_METHODS else EMAIL
    answers = [
        Client().post(reverse("account_login"), {"login": login, "password": password}).status_code
        for password in (PASSWORD, "a wrong passphrase", "")
    ]
    assert answers == [302, 422, 422]


def test_a_cache_that_is_away_holds_up_no_sign_in(settings):
    settings.CACHES = {
        "default": {"BACKEND": "kit.cache.RedisCache", "LOCATION": ["redis://127.0.0.1:1/0"], "KEY_PREFIX": "cache"}
    }
    with patch("allauth.core.internal.ratelimit.time.sleep") as waited, cache_lock("a-guess") as counted:
        assert counted
    assert not waited.called
