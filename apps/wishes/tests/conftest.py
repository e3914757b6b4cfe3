from dataclasses import dataclass

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.wishes.models import Wish


@dataclass(frozen=True)
class Person:
    """Somebody at a browser; `user` is None for who has no account."""

    client: Client
    user: User | None = None


@dataclass(frozen=True)
class Cast:
    """`owner` owns the wish of a test, `member` has an account too, `outsider` has none."""

    owner: Person
    member: Person
    outsider: Person


def person(name):
    user = User.objects.create_user(name)
    client = Client()
    client.force_login(user)
    return Person(client, user)


@pytest.fixture
def cast(db):
    return Cast(person("owner"), person("member"), Person(Client()))


@pytest.fixture
def wish(cast):
    return Wish.objects.create(owner=cast.owner.user, text="A dog who likes the rain")
