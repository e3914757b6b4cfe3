from types import SimpleNamespace

import pytest

from apps.wishes.models import Talk, Wish


@pytest.fixture(autouse=True)
def english(settings):
    """The tests expect English texts, whatever language the project starts with."""
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def cast(owner, member, outsider):
    return SimpleNamespace(owner=owner, member=member, outsider=outsider)


@pytest.fixture
def wish(owner):
    return Wish.objects.create(owner=owner.user, text="A dog who likes the rain")


@pytest.fixture
def talk(wish, member):
    return Talk.objects.create(wish=wish, member=member.user)
