import pytest
from django.contrib.auth import get_user
from pytest_django.asserts import assertContains

from .conftest import PASSWORD, UNSAFE

pytestmark = pytest.mark.django_db


def sign_in(client, username="mina", password=PASSWORD, **more):
    return client.post("/accounts/sign-in", {"username": username, "password": password, **more})


def test_a_user_signs_in(client, user):
    response = sign_in(client)
    assert (response.status_code, response["Location"]) == (302, "/")
    assert get_user(client) == user


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("mina", "wrong"),
        ("nobody", PASSWORD),
        ("", ""),
        ("mina\x00", PASSWORD),
        ("mina", "\x00"),
        ("m" * 100_000, PASSWORD),
        ("<b>", "<b>"),
    ],
    ids=["wrong password", "unknown", "nothing", "NUL in name", "NUL in password", "long", "HTML"],
)
def test_who_gives_no_right_name_and_password_is_refused(client, user, username, password):
    assertContains(sign_in(client, username, password), 'class="errorlist', status_code=422)
    assert get_user(client).is_anonymous


def test_an_inactive_user_is_refused_like_an_unknown_one(client, user):
    user.is_active = False
    user.save()
    refused = sign_in(client)
    assert refused.status_code == 422
    assert refused.context["form"].errors == sign_in(client, "nobody").context["form"].errors


def test_next_is_followed_on_this_site(client, user):
    assert sign_in(client, next="/?page=2")["Location"] == "/?page=2"


@pytest.mark.parametrize("address", UNSAFE, ids=lambda address: repr(address)[:30])
def test_next_leads_to_no_other_site(client, user, address):
    assert sign_in(client, next=address)["Location"] == "/"


@pytest.mark.parametrize("address", ["/accounts/sign-in", "/", "//evil.example"])
def test_who_is_signed_in_is_sent_on(client, user, address):
    client.force_login(user)
    response = client.get("/accounts/sign-in", {"next": address})
    assert (response.status_code, response["Location"]) == (302, "/")
