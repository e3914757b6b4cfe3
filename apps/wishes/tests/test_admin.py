import pytest
from pytest_django.asserts import assertContains

from apps.wishes.models import Cheer, Wish


@pytest.mark.parametrize(
    "address",
    ["wish/", "wish/?q=dog", "wish/?granted_at__isempty=1", "wish/add/", "cheer/", "cheer/?q=dog", "cheer/add/"],
)
def test_the_admin_shows_wishes_and_cheers(cast, wish, admin_client, address):
    Cheer.objects.create(wish=wish, user=cast.member.user)
    assert admin_client.get(f"/admin/wishes/{address}").status_code == 200


def test_the_admin_finds_a_wish_by_its_owner(wish, admin_client):
    assertContains(admin_client.get("/admin/wishes/wish/?q=owner"), wish.text)
    assertContains(admin_client.get("/admin/wishes/wish/?q=member"), "0 wishes")


def test_an_edit_in_the_admin_keeps_the_line_breaks(cast, wish, admin_client):
    address = f"/admin/wishes/wish/{wish.pk}/change/"
    assertContains(admin_client.get(address), "<textarea")
    data = {"text": "two\r\nlines", "owner": cast.owner.user.pk, "granted_at_0": "", "granted_at_1": ""}
    assert admin_client.post(address, data).status_code == 302
    assert Wish.objects.get().text == "two\nlines"
