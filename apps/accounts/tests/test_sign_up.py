from unittest.mock import patch

import pytest
from django.contrib.auth import get_user
from django.db import IntegrityError
from pytest_django.asserts import assertContains

from apps.accounts.models import User

from .conftest import PASSWORD, UNSAFE

pytestmark = pytest.mark.django_db


def sign_up(client, username="mina", password=PASSWORD, **more):
    data = {"username": username, "password1": password, "password2": password, **more}
    return client.post("/accounts/sign-up", data)


def test_signing_up_signs_in_at_once(client):
    response = sign_up(client)
    assert (response.status_code, response["Location"]) == (302, "/")
    assert get_user(client) == User.objects.get(username="mina")


def test_a_new_account_has_no_privileges(client):
    sign_up(client, is_staff="on", is_superuser="on")
    user = User.objects.get()
    assert not user.is_staff
    assert not user.is_superuser


@pytest.mark.parametrize(
    "username",
    ["", " ", "a b", "a<b", "a\x00b", "a\nb", "a\x1bb", "a" * 151, "a" * 100_000, "\N{RIGHT-TO-LEFT OVERRIDE}a"],
    ids=["nothing", "space", "inner space", "HTML", "NUL", "line", "escape", "long", "very long", "override"],
)
def test_a_name_that_is_none_is_refused_beside_its_field(client, username):
    response = sign_up(client, username)
    assertContains(response, 'id="id_username_error"', status_code=422)
    assert not User.objects.exists()


def test_a_refused_name_comes_back_escaped(client):
    assertContains(sign_up(client, "<script>"), 'value="&lt;script&gt;"', status_code=422)


@pytest.mark.parametrize("password", ["", "short", "password123456"[:8], "1234567890123", "a\x00" * 10])
def test_a_weak_password_is_refused(client, password):
    assert sign_up(client, password=password).status_code == 422
    assert not User.objects.exists()


def test_passwords_that_differ_are_refused_beside_the_second(client):
    response = sign_up(client, password2="another long passphrase")
    assertContains(response, 'id="id_password2_error"', status_code=422)


@pytest.mark.parametrize("username", ["mina", "MINA"])
def test_a_name_that_is_taken_is_refused_whatever_its_case(client, user, username):
    assertContains(sign_up(client, username), 'id="id_username_error"', status_code=422)
    assert User.objects.count() == 1


def test_a_name_taken_at_the_same_moment_is_refused_and_not_an_error(client):
    with patch("apps.accounts.forms.SignUpForm.save", side_effect=IntegrityError):
        assertContains(sign_up(client), "already exists", status_code=422)


def test_next_is_followed_on_this_site(client):
    assert sign_up(client, next="/?page=2")["Location"] == "/?page=2"


@pytest.mark.parametrize("address", UNSAFE, ids=lambda address: repr(address)[:30])
def test_next_leads_to_no_other_site(client, address):
    assert sign_up(client, next=address)["Location"] == "/"


def test_next_survives_a_mistake_and_the_way_to_sign_in(client):
    response = client.post("/accounts/sign-up?next=/%3Fpage%3D2", {})
    assertContains(response, '<input type="hidden" name="next" value="/?page=2">', status_code=422)
    assertContains(response, 'href="/accounts/sign-in?next=%2F%3Fpage%3D2"', status_code=422)


def test_who_is_signed_in_has_no_need_to_sign_up(client, user):
    client.force_login(user)
    response = client.get("/accounts/sign-up?next=/accounts/sign-up")
    assert (response.status_code, response["Location"]) == (302, "/")
