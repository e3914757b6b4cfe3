from types import SimpleNamespace

import pytest

from apps.wishes.models import Wish


@pytest.fixture
def cast(owner, member, outsider):
    return SimpleNamespace(owner=owner, member=member, outsider=outsider)


@pytest.fixture
def wish(owner):
    return Wish.objects.create(owner=owner.user, text="A dog who likes the rain")
