import pytest
from django.contrib.auth import get_user

from .conftest import UNSAFE

pytestmark = pytest.mark.django_db


def test_a_user_signs_out(client, user):
    client.force_login(user)
    response = client.post("/accounts/sign-out")
    assert (response.status_code, response["Location"]) == (302, "/")
    assert get_user(client).is_anonymous


def test_a_link_cannot_sign_anybody_out(client, user):
    client.force_login(user)
    assert client.get("/accounts/sign-out").status_code == 405
    assert get_user(client) == user


@pytest.mark.parametrize("address", UNSAFE, ids=lambda address: repr(address)[:30])
def test_next_leads_to_no_other_site(client, user, address):
    client.force_login(user)
    assert client.post("/accounts/sign-out", {"next": address})["Location"] == "/"
