import pytest
from django.test import Client

from apps.accounts.models import User
from kit.sessions import SessionStore


@pytest.mark.parametrize("key", ["aaaaaaaa\0", "\0" * 32, "a" * 31 + "\n", "ä" * 32, "a-" * 16, " " * 32, "", "a" * 7])
def test_what_cannot_be_a_key_is_no_session(key):
    assert SessionStore(key).session_key is None


def test_a_cookie_with_a_nul_in_it_is_a_visitor_without_a_session(db):
    client = Client()
    client.cookies["sessionid"] = "aaaaaaaa\0"
    assert "\\000" in client.cookies["sessionid"].OutputString()
    assert client.get("/").status_code == 200


def test_the_key_of_a_session_is_one(db):
    client = Client()
    client.force_login(User.objects.create_user("somebody"))
    key = client.cookies["sessionid"].value
    assert SessionStore(key).session_key == key
    assert "somebody" in client.get("/").text
