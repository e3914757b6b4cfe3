"""Password guessing in the forms of the site and of the admin."""

import re
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from apps.accounts import adapter
from apps.accounts.models import User

from .conftest import PASSWORD
from .test_accounts import SIGN_IN, sign_in

pytestmark = pytest.mark.django_db

LIMIT = 3
RESET = reverse("account_reset_password")


@pytest.fixture(autouse=True)
def few_guesses(monkeypatch):
    cache.clear()
    monkeypatch.setattr(adapter, "HERE", f"{LIMIT}/30m/key")
    monkeypatch.setattr(adapter, "EVERYWHERE", f"{2 * LIMIT}/30m/key")


@pytest.fixture
def elsewhere(user):
    return Client(REMOTE_ADDR="192.0.2.1")


@pytest.fixture
def guesser(user):
    return Client(REMOTE_ADDR="198.51.100.1")


def guess(client, times=LIMIT, name="mina"):
    return [sign_in(client, name, "a wrong passphrase").status_code for _ in range(times)]


def test_after_too_many_guesses_even_the_right_password_is_refused(guesser):
    assert guess(guesser) == [422] * LIMIT
    response = sign_in(guesser)
    assert (response.status_code, response["Retry-After"]) == (429, "1800")
    assert "no-store" in response["Cache-Control"]
    assert get_user(guesser).is_anonymous


def test_a_program_gets_json(guesser):
    guess(guesser)
    response = sign_in(guesser, headers={"Accept": "application/json"})
    assert (response.status_code, response.json()["error"]) == (429, "too many requests")


def test_an_unknown_name_gets_the_same_answers(guesser):
    assert guess(guesser, LIMIT + 1, "nobody") == [422] * LIMIT + [429]


def test_neither_a_name_nor_a_password_is_logged_and_no_form_is_kept(guesser, caplog, settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    # People type a password into the wrong field.
    guess(guesser, LIMIT + 1, "my-own-passphrase")
    kept = f"{caplog.text} {cache._cache.keys()}"
    assert SIGN_IN in kept
    assert not [word for word in ("my-own-passphrase", "a wrong passphrase") if word in kept]


def test_neither_the_user_elsewhere_nor_other_accounts_are_locked_out(elsewhere, guesser):
    User.objects.create_user("other", password=PASSWORD)
    guess(guesser)
    assert sign_in(elsewhere).status_code == 302
    assert sign_in(guesser, "other").status_code == 302


def test_guesses_by_address_of_mail_are_counted_under_it_and_not_under_an_empty_name(guesser):
    assert guess(guesser, LIMIT + 1, "nobody@example.com") == [422] * LIMIT + [429]
    assert guess(guesser, 1, "another@example.com") == [422]


def test_many_addresses_together_get_no_more_than_so_many_guesses(elsewhere, user):
    clients = [Client(REMOTE_ADDR=f"198.51.100.{number}") for number in range(2 * LIMIT)]
    assert {status for client in clients for status in guess(client, 1)} == {422}
    assert sign_in(elsewhere).status_code == 429


def test_an_ipv6_client_is_counted_by_its_network(user):
    clients = [Client(REMOTE_ADDR=f"2001:db8::{number}") for number in range(1, LIMIT + 2)]
    assert [guess(client, 1)[0] for client in clients] == [422] * LIMIT + [429]


def test_the_admin_has_the_form_of_the_site(guesser):
    assert guesser.get(reverse("admin:login"))["Location"].startswith(SIGN_IN)


@pytest.mark.parametrize("name", ["mina", "nobody", "nobody@example.com"])
def test_a_wrong_password_and_an_unknown_name_are_hashed_once(guesser, name):
    with patch("django.contrib.auth.hashers.MD5PasswordHasher.encode", return_value="md5$a$b") as encode:
        assert guess(guesser, 1, name) == [422]
    assert encode.call_count == 1


def test_a_forgotten_password_is_set_by_mail_and_tells_no_stranger_who_has_an_account(client, user):
    user.email = "mina@example.com"
    user.save()
    answers = [client.post(RESET, {"email": address}) for address in ("mina@example.com", "nobody@example.com")]
    assert len({(answer.status_code, answer["Location"]) for answer in answers}) == 1
    assert [message.to for message in mail.outbox] == [["mina@example.com"], ["nobody@example.com"]]
    link = re.search(r"https?://[^/]+(/\S+)", mail.outbox[0].body)[1]
    page = client.get(link)
    new = {"password1": "another long passphrase", "password2": "another long passphrase"}
    assert client.post(page["Location"], new).status_code == 302
    assert sign_in(client, "mina@example.com", new["password1"]).status_code == 302
