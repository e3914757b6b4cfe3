import pytest

from apps.accounts.models import User

PASSWORD = "a long enough passphrase"

# Addresses that `next` must not lead to: other sites, other schemes, and the account pages themselves.
UNSAFE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example",
    "\\\\evil.example",
    "http:///evil.example",
    "javascript:alert(1)",
    "\x08//evil.example",
    "http://[",
    "/accounts/sign-in",
    "/accounts/sign-up?next=/",
    "/accounts/sign-out",
    "/" + "x" * 5000,
    "",
]


@pytest.fixture(autouse=True)
def cheap_passwords(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def user(db):
    return User.objects.create_user("mina", password=PASSWORD)
