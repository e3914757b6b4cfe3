import pytest
from django.core.cache import cache

from apps.accounts.models import User

PASSWORD = "a long enough passphrase"


@pytest.fixture
def user(db):
    return User.objects.create_user("mina", password=PASSWORD)


@pytest.fixture(autouse=True)
def nothing_counted():
    cache.clear()
