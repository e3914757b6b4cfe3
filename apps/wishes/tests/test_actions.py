import threading

import pytest
from django.db import connection
from django.utils import timezone

from apps.wishes.models import Cheer, Wish

ACTIONS = ["cheer", "grant", "delete"]


def act(person, action, wish, **headers):
    pk = getattr(wish, "pk", wish)
    return person.client.post(f"/wishes/{pk}/{action}", headers=headers)


def test_a_member_cheers_the_wish_of_another(cast, wish):
    assert act(cast.member, "cheer", wish).status_code == 303
    cheer = Cheer.objects.get()
    assert (cheer.wish, cheer.user) == (wish, cast.member.user)


def test_a_second_cheer_changes_nothing(cast, wish):
    act(cast.member, "cheer", wish)
    assert act(cast.member, "cheer", wish).status_code == 303
    assert Cheer.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_cheers_at_the_same_moment_count_once(cast, wish):
    statuses, together = [], threading.Barrier(4)

    def cheer():
        together.wait()
        statuses.append(act(cast.member, "cheer", wish).status_code)
        connection.close()

    threads = [threading.Thread(target=cheer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [303] * 4
    assert Cheer.objects.count() == 1


def test_nobody_cheers_their_own_wish(cast, wish):
    assert act(cast.owner, "cheer", wish).status_code == 403
    assert not Cheer.objects.exists()


def test_the_owner_grants_a_wish(cast, wish):
    before = timezone.now()
    assert act(cast.owner, "grant", wish).status_code == 303
    wish.refresh_from_db()
    assert before <= wish.granted_at <= timezone.now()


def test_granting_again_keeps_the_first_time(cast, wish):
    act(cast.owner, "grant", wish)
    first = Wish.objects.get().granted_at
    assert act(cast.owner, "grant", wish).status_code == 303
    assert Wish.objects.get().granted_at == first


def test_the_owner_deletes_a_wish_with_its_cheers(cast, wish):
    act(cast.member, "cheer", wish)
    assert act(cast.owner, "delete", wish).status_code == 303
    assert not Wish.objects.exists()
    assert not Cheer.objects.exists()


@pytest.mark.parametrize("action", ["grant", "delete"])
def test_a_stranger_cannot_touch_a_wish(cast, wish, action):
    assert act(cast.member, action, wish).status_code == 403
    assert Wish.objects.get().granted_at is None


@pytest.mark.parametrize("action", ACTIONS)
def test_who_is_signed_out_does_nothing_to_a_wish(cast, wish, action):
    response = act(cast.outsider, action, wish)
    assert response.status_code == 403
    assert 'href="/accounts/login/"' in response.content.decode()
    assert Wish.objects.get().granted_at is None
    assert not Cheer.objects.exists()


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "pk", [999_999, 0, 2**63, 2**64, 10**100, int("9" * 4000)], ids=lambda pk: f"{pk:.0e}"[:8] if pk < 1e300 else "huge"
)
def test_a_wish_that_does_not_exist_is_not_found(cast, action, pk):
    assert act(cast.member, action, pk).status_code == 404


@pytest.mark.parametrize("action", ACTIONS)
def test_actions_are_posted(cast, wish, action):
    assert cast.owner.client.get(f"/wishes/{wish.pk}/{action}").status_code == 405
    assert Wish.objects.get().granted_at is None


@pytest.mark.parametrize(
    ("referer", "location"),
    [
        ("http://testserver/?page=2", "/?page=2"),
        ("http://testserver/?page=2#wish-1", "/?page=2"),
        ("http://testserver/", "/"),
        ("http://testserver", "/"),
        ("", "/"),
        ("http://evil.example/?page=2", "/"),
        ("http://testserver.evil.example/", "/"),
        ("//evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("nonsense", "/"),
    ],
)
def test_an_action_leads_back_to_the_page_it_came_from(cast, wish, referer, location):
    assert act(cast.member, "cheer", wish, Referer=referer)["Location"] == location


@pytest.mark.parametrize("referer", ["http://testserver//evil.example/", "http://testserver///evil.example/"])
def test_an_address_with_two_slashes_leads_to_no_other_site(cast, wish, referer):
    location = act(cast.member, "cheer", wish, Referer=referer)["Location"]
    assert location.startswith("/")
    assert not location.startswith("//")
