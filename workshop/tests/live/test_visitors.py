"""Who is behind a session, read for many at once: by the rules of django.contrib.auth, on either database."""

import asyncio
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.utils import timezone

from kit.live import audience

from .conftest import until

pytestmark = pytest.mark.django_db


def visitor(person):
    return audience.Visitor(person.client.session.session_key, person.user)


def change_password(person):
    person.user.set_password("another")
    person.user.save()


def deactivate(person):
    person.user.is_active = False
    person.user.save()


ENDS = {
    "signed out": lambda person: person.client.logout(),
    "expired": lambda person: Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1)),
    "deactivated": deactivate,
    "deleted": lambda person: person.user.delete(),
    "another password": change_password,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_visitor_is_their_user_until_the_session_is_no_longer_theirs(owner, end):
    theirs = visitor(owner)
    assert audience.users([theirs]) == [owner.user]
    ENDS[end](owner)
    assert audience.users([theirs]) == [AnonymousUser()]


def test_many_are_read_in_two_queries_and_each_is_nobody_else(owner, member, staff, django_assert_num_queries):
    visitors = [visitor(owner), audience.Visitor(None), visitor(member), audience.Visitor("0" * 32), visitor(staff)]
    with django_assert_num_queries(2):
        users = audience.users([*visitors, visitors[0]])
    expected = [owner.user, AnonymousUser(), member.user, AnonymousUser(), staff.user, owner.user]
    assert users == expected


def test_a_session_from_before_a_new_secret_key_counts_and_stays_as_it_is(owner, settings):
    theirs, session = visitor(owner), Session.objects.get()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new one", [settings.SECRET_KEY]
    assert audience.users([theirs]) == [owner.user]
    assert Session.objects.get().session_data == session.session_data
    settings.SECRET_KEY_FALLBACKS = []
    assert audience.users([audience.Visitor(theirs.session_key)]) == [AnonymousUser()]


@pytest.mark.parametrize("engine", ["cache", "cached_db", "signed_cookies"])
def test_sessions_may_be_kept_elsewhere(owner, settings, engine):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    owner.client.force_login(owner.user)
    assert audience.users([visitor(owner)]) == [owner.user]


@pytest.fixture
def two(transactional_db, owner, member):
    """Both as they came; the first has signed out since."""
    visitors = visitor(owner), visitor(member)
    owner.client.logout()
    return visitors


async def test_a_database_that_is_away_sends_nobody_away_and_forgets_nobody(two, monkeypatch, caplog):
    monkeypatch.setattr(audience, "EXAMINE_EVERY", 0.05)
    left, failures = [], [OperationalError("away")]

    def may_follow(user):
        if failures:
            raise failures.pop()
        return True

    first, second = two
    with (
        audience.watched(first, lambda reason: left.append(("first", reason))),
        audience.watched(second, lambda reason: left.append(("second", reason)), may_follow),
    ):
        await until(lambda: left)
        await asyncio.sleep(0.2)
    assert left == [("first", audience.FORBIDDEN)]
    assert "Could not check who may still follow" in caplog.text
