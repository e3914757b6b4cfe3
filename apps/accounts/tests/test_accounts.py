"""Signing up, in and out."""

from unittest.mock import patch

import pytest
from django.conf import settings
from django.contrib.auth import get_user
from django.db import IntegrityError
from django.shortcuts import resolve_url
from django.urls import reverse
from pytest_django.asserts import assertContains

from apps.accounts.models import User

from .conftest import PASSWORD

pytestmark = pytest.mark.django_db

SIGN_UP, SIGN_IN, SIGN_OUT = (reverse(f"account_{name}") for name in ("signup", "login", "logout"))
FIRST_PAGE, LAST_PAGE = resolve_url(settings.LOGIN_REDIRECT_URL), resolve_url(settings.LOGOUT_REDIRECT_URL)
# Values that `next` must ignore: other sites, other schemes, and the account pages themselves.
UNSAFE = [
    "https://evil.example/", "//evil.example/", "///evil.example/", "/\\evil.example", "\\\\evil.example",
    "http:///evil.example", "javascript:alert(1)", "\x08//evil.example", "http://[", "/" + "x" * 5000, "",
    SIGN_UP, SIGN_IN, SIGN_OUT,
]  # fmt: skip


def sign_up(client, username="mina", password=PASSWORD, **more):
    return client.post(SIGN_UP, {"username": username, "password1": password, "password2": password, **more})


def sign_in(client, username="mina", password=PASSWORD, headers=None, **more):
    return client.post(SIGN_IN, {"login": username, "password": password, **more}, headers=headers)


def test_signing_up_signs_in_at_once(client):
    response = sign_up(client)
    assert (response.status_code, response["Location"]) == (302, FIRST_PAGE)
    assert get_user(client) == User.objects.get(username="mina")


def test_a_new_account_has_no_privileges(client):
    sign_up(client, is_staff="on", is_superuser="on")
    user = User.objects.get()
    assert not user.is_staff
    assert not user.is_superuser


@pytest.mark.parametrize(
    "username",
    ["", "a b", "a<b", "a\x00b", "a\nb", "a" * 100_000, "\N{RIGHT-TO-LEFT OVERRIDE}a", "OWNER"],
    ids=["nothing", "space", "HTML", "NUL", "line", "long", "override", "taken in another case"],
)
def test_an_unfit_name_is_refused_beside_its_field(client, owner, username):
    response = sign_up(client, username)
    assert response.status_code == 422
    assert response.context["form"].errors["username"]
    assert User.objects.count() == 1


def test_a_refused_name_comes_back_escaped(client):
    assertContains(sign_up(client, "<script>"), 'value="&lt;script&gt;"', status_code=422)


@pytest.mark.parametrize("password", ["", "short", "1234567890123", "a\x00" * 10])
def test_a_weak_password_is_refused(client, password):
    assert sign_up(client, password=password).status_code == 422
    assert not User.objects.exists()


def test_a_name_taken_at_the_same_moment_is_refused_and_not_an_error(client):
    def taken(*arguments):
        User.objects.create_user("mina", password=PASSWORD)
        raise IntegrityError

    with patch("apps.accounts.adapter.AccountAdapter.save_user", side_effect=taken):
        response = sign_up(client)
    assert response.status_code == 422
    assert response.context["form"].errors["username"]


def test_a_user_signs_in(client, user):
    response = sign_in(client)
    assert (response.status_code, response["Location"]) == (302, FIRST_PAGE)
    assert get_user(client) == user


@pytest.mark.parametrize(
    ("username", "password"),
    [("mina", "wrong"), ("nobody", PASSWORD), ("", ""), ("mina\x00", PASSWORD), ("mina", "\x00"), ("m" * 9999, "x")],
    ids=["wrong password", "unknown", "nothing", "NUL in name", "NUL in password", "long"],
)
def test_a_wrong_name_or_password_is_refused(client, user, username, password):
    response = sign_in(client, username, password)
    assert response.status_code == 422
    assert response.context["form"].errors
    assert get_user(client).is_anonymous


def test_an_inactive_user_is_refused_like_an_unknown_one(client, user):
    user.is_active = False
    user.save()
    refused = sign_in(client)
    assert refused.status_code == 422
    assert refused.context["form"].errors == sign_in(client, "nobody").context["form"].errors


def test_a_user_signs_out(owner):
    response = owner.client.post(SIGN_OUT)
    assert (response.status_code, response["Location"]) == (302, LAST_PAGE)
    assert get_user(owner.client).is_anonymous


def test_a_link_signs_out_no_one(owner):
    assert owner.client.get(SIGN_OUT).status_code == 200
    assert get_user(owner.client) == owner.user


@pytest.mark.parametrize("path", [SIGN_UP, SIGN_IN])
def test_a_user_who_is_signed_in_is_sent_on(owner, path):
    for address in UNSAFE:
        response = owner.client.get(path, {"next": address})
        assert (response.status_code, response["Location"]) == (302, FIRST_PAGE)


@pytest.mark.parametrize("form", ["sign up", "sign in", "sign out"])
def test_next_leads_to_this_site_and_to_no_other(client, user, form):
    def send(number, address):
        if form == "sign up":
            return sign_up(client, f"new-{number}", next=address)
        return sign_in(client, next=address) if form == "sign in" else client.post(SIGN_OUT, {"next": address})

    default = LAST_PAGE if form == "sign out" else FIRST_PAGE
    for number, address in enumerate(["/?page=2", *UNSAFE]):
        client.logout()
        assert send(number, address)["Location"] == (address if number == 0 else default), address


def test_next_survives_a_mistake_and_the_way_to_sign_in(client):
    response = client.post(f"{SIGN_UP}?next=/%3Fpage%3D2", {})
    assertContains(response, '<input type="hidden" name="next" value="/?page=2">', status_code=422)
    assertContains(response, f'href="{SIGN_IN}?next=%2F%3Fpage%3D2"', status_code=422)
