import pytest

from apps.accounts.models import User

PASSWORD = "a long enough passphrase"


@pytest.fixture
def user(db):
    return User.objects.create_user("mina", password=PASSWORD)
