"""Every change of a wish is published. The tests commit, because positions are assigned at the commit."""

import pytest
from django.db import transaction

from apps.wishes import live
from apps.wishes.models import Cheer, Wish
from kit.live import latest
from kit.live.models import Change

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def published(cast, wish):
    """The keys published since the wish and its cast were made."""
    before = int(latest("wishes"))

    def keys():
        rows = Change.objects.filter(topic="wishes", position__gt=before)
        return sorted(rows.values_list("key", flat=True))

    return keys


@pytest.fixture
def calls(monkeypatch):
    calls = []
    monkeypatch.setattr(live, "publish", lambda topic, key: calls.append((topic, key)))
    return calls


def test_a_new_wish_is_published(cast, published):
    new = Wish.objects.create(owner=cast.owner.user, text="new")
    assert published() == [str(new.pk)]


def test_an_edited_wish_is_published(wish, published):
    wish.text = "edited"
    wish.save()
    assert published() == [str(wish.pk)]


def test_a_granted_wish_is_published_once(wish, published, calls):
    wish.grant()
    wish.grant()
    assert calls == [("wishes", wish.pk)]


def test_a_deleted_wish_is_published(wish, published):
    key = str(wish.pk)
    wish.delete()
    assert published() == [key]
    assert live.render([key]) == {}


def test_a_cheer_is_published_as_a_change_of_its_wish(cast, wish, published):
    Cheer.objects.create(wish=wish, user=cast.member.user)
    assert published() == [str(wish.pk)]


def test_a_cheer_taken_back_is_published(cast, wish, calls):
    cheer = Cheer.objects.create(wish=wish, user=cast.member.user)
    calls.clear()
    cheer.delete()
    assert calls == [("wishes", wish.pk)]


@pytest.mark.parametrize(
    "delete", [lambda wish: wish.delete(), lambda wish: Wish.objects.all().delete()], ids=["one", "query"]
)
def test_a_wish_that_takes_its_cheers_with_it_is_published_once(cast, wish, calls, delete):
    pk = wish.pk
    Cheer.objects.create(wish=wish, user=cast.member.user)
    calls.clear()
    delete(wish)
    assert calls == [("wishes", pk)]


def test_a_deleted_user_takes_wishes_and_cheers_along_and_both_are_published(cast, wish, published):
    theirs = Wish.objects.create(owner=cast.member.user, text="theirs")
    Cheer.objects.create(wish=wish, user=cast.member.user)
    Cheer.objects.create(wish=theirs, user=cast.owner.user)
    before = int(latest("wishes"))
    keys = {str(wish.pk), str(theirs.pk)}
    cast.member.user.delete()
    rows = Change.objects.filter(topic="wishes", position__gt=before)
    assert set(rows.values_list("key", flat=True)) == keys
    assert list(live.render(sorted(keys))) == [str(wish.pk)]


def test_what_is_rolled_back_is_not_published(wish, published):
    with transaction.atomic():
        wish.grant()
        transaction.set_rollback(True)
    assert published() == []


def test_pages_publish_what_they_do(cast, wish, published):
    cast.member.client.post(f"/wishes/{wish.pk}/cheer")
    assert published() == [str(wish.pk)]


def test_a_cheer_that_changes_nothing_is_not_published(cast, wish, published, calls):
    cast.member.client.post(f"/wishes/{wish.pk}/cheer")
    cast.member.client.post(f"/wishes/{wish.pk}/cheer")
    assert calls == [("wishes", wish.pk)]


def test_wishes_are_rendered_by_key_and_those_that_are_gone_are_not(wish):
    assert list(live.render([str(wish.pk), "999999"])) == [str(wish.pk)]


def test_many_wishes_are_rendered_in_one_query(cast, django_assert_num_queries):
    keys = [str(Wish.objects.create(owner=cast.owner.user, text="x").pk) for _ in range(5)]
    with django_assert_num_queries(1):
        assert len(live.render(keys)) == 5


def test_a_rendered_wish_knows_nothing_of_a_viewer(cast, wish):
    html = live.render([str(wish.pk)])[str(wish.pk)]
    assert "csrf" not in html
    assert f'formaction="/wishes/{wish.pk}/cheer"' in html
    assert html.strip().startswith(f'<li class="wish item" id="wish-{wish.pk}"')
