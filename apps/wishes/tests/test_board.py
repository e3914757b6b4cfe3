import re
from datetime import UTC, datetime

import pytest
from django.utils import translation
from pytest_django.asserts import assertContains, assertNotContains

from apps.wishes import live, views
from apps.wishes.models import Cheer, Wish
from kit.live import latest


def texts(response):
    return [wish.text for wish in response.context["page"]]


def post_many(owner, number):
    for count in range(1, number + 1):
        Wish.objects.create(owner=owner.user, text=f"wish {count}")


def test_an_empty_board_invites_the_first_wish(cast):
    response = cast.outsider.client.get("/")
    assertContains(response, '<p class="empty" data-empty>')


def test_the_board_shows_the_newest_wish_first(cast):
    post_many(cast.owner, 3)
    response = cast.outsider.client.get("/")
    assert texts(response) == ["wish 3", "wish 2", "wish 1"]
    assertContains(response, '<p class="empty" data-empty hidden>')


def test_twenty_wishes_make_a_page(cast):
    post_many(cast.owner, 21)
    first, second = cast.outsider.client.get("/"), cast.outsider.client.get("/?page=2")
    assert texts(first) == [f"wish {count}" for count in range(21, 1, -1)]
    assert texts(second) == ["wish 1"]
    assertContains(first, 'href="/?page=2"')
    assertContains(second, 'class="newer" rel="prev" href="/"')


@pytest.mark.parametrize(
    ("asked", "number"),
    [("nonsense", 1), ("", 1), ("1.5", 1), ("%00", 1), ("9" * 5000, 1), ("-1", 2), ("0", 2), ("3", 2), ("9" * 100, 2)],
    ids=lambda value: str(value)[:10],
)
def test_a_page_that_does_not_exist_shows_the_nearest_one(cast, asked, number):
    post_many(cast.owner, 21)
    assert cast.outsider.client.get(f"/?page={asked}").context["page"].number == number


def test_what_pages_share_of_a_wish_is_what_it_is_now_and_in_their_language(cast, wish):
    cast.outsider.client.get("/")
    Wish.objects.update(text="A cat", created_at=datetime(2001, 2, 3, tzinfo=UTC), granted_at=datetime.now(UTC))
    type(cast.owner.user).objects.filter(pk=wish.owner_id).update(username="renamed")
    Cheer.objects.create(wish=wish, user=cast.member.user)
    page = cast.outsider.client.get("/")
    for part in (">A cat<", ">renamed<", '"2001-02-03T00:00:00+00:00"', ">Granted<", ">1 cheer<"):
        assertContains(page, part)
    with translation.override("de"):
        assert '<time datetime="2001-02-03T00:00:00+00:00">3. Februar 2001 ' in live.render([wish.pk])[str(wish.pk)]


@pytest.mark.parametrize("who", ["owner", "outsider"])
def test_more_wishes_need_no_more_queries(cast, django_assert_max_num_queries, who):
    post_many(cast.owner, 1)
    person = getattr(cast, who)
    person.client.get("/")
    # The cursor, the count, the page; and who is looking: the session, the user, what they cheered.
    most = 3 if who == "outsider" else 6
    for wishes in (1, 15):
        post_many(cast.member, wishes)
        with django_assert_max_num_queries(most):
            person.client.get("/")


def test_the_board_counts_the_cheers_of_each_wish(cast, wish):
    other = Wish.objects.create(owner=cast.member.user, text="Another")
    Cheer.objects.create(wish=wish, user=cast.member.user)
    assert {w.pk: w.cheer_count for w in Wish.objects.board()} == {wish.pk: 1, other.pk: 0}


def test_the_cursor_is_taken_before_the_wishes_are_read(cast, wish, monkeypatch):
    cast.outsider.client.get("/")

    def late(topic):
        # A wish posted while the page is built is on it, or comes after its cursor.
        Wish.objects.create(owner=cast.owner.user, text="at the same moment")
        return "41"

    monkeypatch.setattr(views, "latest", late)
    response = cast.outsider.client.get("/")
    assertContains(response, 'data-live-cursor="41"')
    assert "at the same moment" in texts(response)


@pytest.mark.django_db(transaction=True)
def test_the_list_says_where_its_changes_begin(cast, wish):
    assertContains(cast.outsider.client.get("/"), f'data-live-topic="wishes" data-live-cursor="{latest("wishes")}"')


def test_who_is_signed_out_is_offered_an_account_and_no_form(cast, wish):
    response = cast.outsider.client.get("/")
    assertContains(response, 'href="/accounts/signup/"')
    assertNotContains(response, "<textarea")
    assertNotContains(response, 'id="act"')
    assertContains(response, '<body class="signed-out">')


def test_the_style_of_the_page_says_which_buttons_are_whose(cast, wish):
    Cheer.objects.create(wish=wish, user=cast.member.user)
    owned = f'.wish[data-owner="{cast.owner.user.pk}"] .for-owner'
    cheered = f":is(#wish-{wish.pk}) .cheered"
    page = cast.owner.client.get("/").content.decode()
    assert owned in page
    assert cheered not in page
    page = cast.member.client.get("/").content.decode()
    assert owned not in page
    assert cheered in page


def test_a_wish_is_the_same_for_every_viewer(cast, wish):
    def fragment(person):
        return re.search(r'<li class="wish.*?</li>', person.client.get("/").content.decode(), re.DOTALL)[0]

    assert fragment(cast.owner) == fragment(cast.member) == fragment(cast.outsider)


def test_html_in_a_wish_is_shown_as_it_was_typed(cast):
    Wish.objects.create(owner=cast.owner.user, text='<script>alert("&")</script>')
    response = cast.outsider.client.get("/")
    assertContains(response, "&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;")


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_board_is_only_read(cast, method):
    assert getattr(cast.owner.client, method)("/").status_code == 405
