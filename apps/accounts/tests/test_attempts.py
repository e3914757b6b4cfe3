"""Guesses at a password, in the forms of the site and of the admin."""

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from axes.models import AccessAttempt
from django.contrib.auth import aauthenticate, get_user
from django.test import AsyncClient, Client, RequestFactory
from django.urls import reverse

from apps.accounts.attempts import EVERYWHERE, client_address
from apps.accounts.models import User

from .conftest import PASSWORD
from .test_accounts import SIGN_IN, SIGN_OUT, sign_in

pytestmark = pytest.mark.django_db

LIMIT = 3
ADMIN = reverse("admin:login")


@pytest.fixture(autouse=True)
def few_attempts(settings):
    settings.AXES_FAILURE_LIMIT = LIMIT


@pytest.fixture
def elsewhere(user):
    return Client(REMOTE_ADDR="192.0.2.1")


@pytest.fixture
def guesser(user):
    return Client(REMOTE_ADDR="198.51.100.1")


def guess(client, times=LIMIT, **more):
    return [sign_in(client, password="a wrong passphrase", **more).status_code for _ in range(times)]


def let_pass(time):
    for attempt in AccessAttempt.objects.all():
        AccessAttempt.objects.filter(pk=attempt.pk).update(attempt_time=attempt.attempt_time - time)


@pytest.mark.parametrize("path", [SIGN_IN, ADMIN])
def test_after_too_many_failures_even_the_right_password_is_refused(guesser, user, settings, path):
    user.is_staff = True
    user.save()
    assert guess(guesser) == [422] * (LIMIT - 1) + [429]
    response = guesser.post(path, {"username": "mina", "password": PASSWORD})
    assert response.status_code == 429
    assert response["Retry-After"] == str(int(settings.AXES_COOLOFF_TIME.total_seconds()))
    assert "no-store" in response["Cache-Control"]
    assert get_user(guesser).is_anonymous


def test_failures_in_the_admin_count_too(guesser):
    wrong = {"username": "mina", "password": "wrong"}
    assert [guesser.post(ADMIN, wrong).status_code for _ in range(LIMIT)] == [200] * (LIMIT - 1) + [429]
    assert sign_in(guesser).status_code == 429


def test_a_program_gets_json(guesser):
    guess(guesser)
    response = sign_in(guesser, headers={"Accept": "application/json"})
    assert response.status_code == 429
    assert response.json()["error"]


def test_an_unknown_name_gets_the_same_answers(guesser):
    assert guess(guesser, username="nobody") == [422] * (LIMIT - 1) + [429]


def test_neither_the_user_elsewhere_nor_other_accounts_are_locked_out(elsewhere, guesser):
    User.objects.create_user("other", password=PASSWORD)
    guess(guesser)
    assert sign_in(elsewhere).status_code == 302
    assert sign_in(guesser, "other").status_code == 302


def test_another_browser_at_the_same_address_is_the_same_guesser(guesser):
    guess(guesser, LIMIT - 1)
    another = Client(REMOTE_ADDR="198.51.100.1", headers={"User-Agent": "another"})
    assert guess(another, 1) == [429]


def test_many_addresses_together_get_no_more_than_so_many_guesses(elsewhere, user):
    addresses = [Client(REMOTE_ADDR=f"198.51.100.{number}") for number in range(LIMIT * EVERYWHERE)]
    assert {status for client in addresses[:-1] for status in guess(client, 1)} == {422}
    assert guess(addresses[-1], 1) == [429]
    assert sign_in(elsewhere).status_code == 429


def test_slow_guesses_are_counted_as_fast_ones(guesser, settings):
    for _ in range(LIMIT - 1):
        assert guess(guesser, 1) == [422]
        let_pass(settings.AXES_COOLOFF_TIME / (2 * LIMIT))
    assert guess(guesser, 1) == [429]


def test_the_lock_ends_however_much_was_tried_meanwhile(guesser, settings):
    guess(guesser)
    let_pass(settings.AXES_COOLOFF_TIME - timedelta(seconds=10))
    assert guess(guesser, 1) == [429]
    let_pass(timedelta(seconds=11))
    assert sign_in(guesser).status_code == 302


def test_a_success_clears_what_was_counted_at_this_address_and_nowhere_else(elsewhere, guesser):
    guess(elsewhere, LIMIT - 1)
    guess(guesser, LIMIT - 1)
    sign_in(elsewhere)
    elsewhere.post(SIGN_OUT)
    assert guess(elsewhere, LIMIT - 1) == [422] * (LIMIT - 1)
    assert guess(guesser, 1) == [429]


def test_the_next_failure_removes_what_no_longer_counts(elsewhere, guesser, settings):
    guess(guesser)
    let_pass(settings.AXES_COOLOFF_TIME)
    guess(elsewhere, 1)
    assert [attempt.ip_address for attempt in AccessAttempt.objects.all()] == ["192.0.2.1"]


def test_neither_a_name_nor_a_password_is_logged_and_no_form_is_kept(guesser, caplog):
    # People type a password into the wrong field.
    guess(guesser, username="my-own-passphrase", next="/?secret=1")
    assert "198.51.100.1" in caplog.text
    kept = " ".join(f"{attempt.post_data} {attempt.get_data}" for attempt in AccessAttempt.objects.all())
    assert "password=***" in kept
    for text in (caplog.text, kept):
        assert not [word for word in ("my-own-passphrase", "a wrong passphrase", "secret") if word in text]


def test_a_view_on_the_event_loop_can_ask_for_a_password_too(user):
    def ask(password):
        request = RequestFactory().post("/")
        return async_to_sync(aauthenticate)(request, username="mina", password=password)

    assert ask(PASSWORD) == user
    assert [ask("a wrong passphrase") for _ in range(LIMIT)] == [None] * LIMIT
    assert ask(PASSWORD) is None


def test_under_asgi_the_answer_is_the_same(user):
    client = AsyncClient()
    data = {"username": "mina", "password": "a wrong passphrase"}
    statuses = [async_to_sync(client.post)(SIGN_IN, data).status_code for _ in range(LIMIT)]
    assert statuses == [422] * (LIMIT - 1) + [429]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("", None),
        ("nonsense", None),
    ],
)
def test_an_ipv6_client_is_counted_by_its_network(address, counted):
    assert client_address(RequestFactory(REMOTE_ADDR=address).get("/")) == counted
