"""Conversations: their pages, and the form that works with and without JavaScript."""

import uuid

import pytest
from django.urls import reverse
from pytest_django.asserts import assertContains, assertNotContains

from apps.wishes import live
from apps.wishes.models import Message, Talk, Wish
from kit.live import latest
from kit.live.models import Change

from .test_post import REFUSED

JSON = {"Accept": "application/json"}


def begin(person, wish):
    return person.client.post(f"/wishes/{wish.pk}/talk")


def say(person, talk, text, token="", **headers):
    token = token or uuid.uuid4().hex
    return person.client.post(talk.get_absolute_url(), {"text": text, "token": token}, headers=headers)


def said(talk):
    return list(talk.messages.order_by("pk").values_list("author__username", "text"))


def test_a_member_begins_to_talk_about_the_wish_of_another(cast, wish):
    response = begin(cast.member, wish)
    talk = Talk.objects.get()
    assert (response.status_code, response["Location"]) == (303, f"/talks/{talk.pk}")
    assert (talk.wish, talk.member) == (wish, cast.member.user)
    assertContains(cast.member.client.get(response["Location"]), wish.text)


def test_who_talks_already_is_led_to_the_same_conversation(cast, wish, talk):
    assert begin(cast.member, wish)["Location"] == talk.get_absolute_url()
    assert Talk.objects.count() == 1


@pytest.mark.parametrize("who", ["owner", "outsider"])
def test_nobody_begins_to_talk_with_themselves_or_without_an_account(cast, wish, who):
    assert begin(getattr(cast, who), wish).status_code == 403
    assert not Talk.objects.exists()


def test_there_is_nothing_to_say_about_a_wish_that_does_not_exist(cast):
    assert cast.member.client.post("/wishes/999999/talk").status_code == 404


@pytest.mark.parametrize("who", ["owner", "member"])
def test_the_two_read_and_write(cast, talk, who):
    person = getattr(cast, who)
    assert say(person, talk, "Hello!").status_code == 303
    assert said(talk) == [(who, "Hello!")]
    assertContains(person.client.get(talk.get_absolute_url()), "Hello!")


def test_for_everybody_else_there_is_no_such_conversation(staff, talk):
    assert staff.client.get(talk.get_absolute_url()).status_code == 404
    assert say(staff, talk, "Hello!").status_code == 404
    assert not Message.objects.exists()


def test_who_is_signed_out_signs_in_first(cast, talk):
    for path in (talk.get_absolute_url(), "/talks/"):
        assert cast.outsider.client.get(path)["Location"] == f"{reverse('account_login')}?next={path}"
    assert say(cast.outsider, talk, "Hello!").status_code == 403
    assert not Message.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("transport", ["changes", "changes?wait=1", "events"])
def test_the_two_alone_follow_what_is_said(cast, staff, talk, transport):
    say(cast.owner, talk, "a secret")
    for person, status in {cast.owner: 200, cast.member: 200, cast.outsider: 403, staff: 403}.items():
        response = person.client.get(f"/live/talks/{talk.pk}/{transport}", {"after": "0"})
        assert response.status_code == status
        if status == 403:
            assertNotContains(response, "secret", status_code=403)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("pk", [0, 999_999, 2**64, 10**100])
def test_nobody_follows_a_conversation_that_does_not_exist(cast, pk):
    assert cast.owner.client.get(f"/live/talks/{pk}/changes").status_code in (403, 404)


def test_what_is_sent_twice_is_saved_once(cast, talk):
    token = str(uuid.uuid4())
    for _ in range(2):
        assert say(cast.owner, talk, "Hello!", token).status_code == 303
        assert say(cast.owner, talk, "Hello!", token, **JSON).json() == {"saved": token}
    assert said(talk) == [("owner", "Hello!")]


def test_another_text_from_an_older_page_is_another_message(cast, talk):
    token = str(uuid.uuid4())
    for person, text in ((cast.owner, "one"), (cast.owner, "two"), (cast.member, "two")):
        say(person, talk, text, token)
    assert said(talk) == [("owner", "one"), ("owner", "two"), ("member", "two")]


@pytest.mark.parametrize("name", sorted(REFUSED.keys() - {"too long"}))
def test_a_text_that_is_no_message_is_refused(cast, talk, name):
    text = REFUSED[name]
    assert say(cast.owner, talk, text).status_code == 422
    token = uuid.uuid4().hex
    response = say(cast.owner, talk, text, token, **JSON)
    assert response.status_code == 422
    assert response.json()["token"] == token
    assert response.json()["errors"]
    assert not Message.objects.exists()


def test_a_refused_message_is_still_in_the_field(cast, talk):
    response = say(cast.owner, talk, "<" * 1001)
    assertContains(response, "&lt;" * 1001, status_code=422)
    assertContains(response, 'aria-invalid="true"', status_code=422)


def test_html_in_a_message_is_shown_as_it_was_typed(cast, talk):
    say(cast.owner, talk, '<script>alert("&")</script>')
    assertContains(cast.member.client.get(talk.get_absolute_url()), "&lt;script&gt;alert(&quot;&amp;&quot;)&lt;")


def test_a_message_is_the_same_for_both_and_the_style_of_the_page_says_whose_it_is(cast, talk):
    say(cast.owner, talk, "Hello!")
    (message,) = Message.objects.all()
    html = live.render_messages([str(message.pk), "999999"], talk.pk)[str(message.pk)]
    for person in (cast.owner, cast.member):
        page = person.client.get(talk.get_absolute_url()).content.decode()
        assert html in page
        assert f'.message[data-author="{person.user.pk}"]' in page


def test_messages_of_another_conversation_are_not_rendered(cast, staff, wish, talk):
    say(cast.owner, talk, "Hello!")
    other = Talk.objects.create(wish=wish, member=staff.user)
    assert live.render_messages([str(Message.objects.get().pk)], other.pk) == {}


def test_the_newest_messages_come_last_and_older_ones_have_a_page(cast, talk):
    for number in range(52):
        Message.objects.create(talk=talk, author=cast.owner.user, text=f"no. {number}.")
    page, older = (cast.member.client.get(f"{talk.get_absolute_url()}{query}").text for query in ("", "?page=2"))
    assert page.index("no. 2.") < page.index("no. 51.")
    assert "no. 1." not in page
    assert older.index("no. 0.") < older.index("no. 1.")
    assert "talk.js" not in older


def test_more_messages_need_no_more_queries(cast, talk, django_assert_max_num_queries):
    for _ in range(5):
        Message.objects.create(talk=talk, author=cast.owner.user, text="Hello!")
    # The session, the user, the conversation, the cursor, the count, the messages.
    with django_assert_max_num_queries(6):
        cast.member.client.get(talk.get_absolute_url())


def test_conversations_are_listed_for_the_two_once_something_was_said(cast, staff, talk):
    def listed(person):
        return talk.get_absolute_url() in person.client.get("/talks/").text

    assert not listed(cast.owner)
    say(cast.member, talk, "Hello!")
    assert [listed(person) for person in (cast.owner, cast.member, staff)] == [True, True, False]


def test_pages_of_conversations_are_kept_by_nobody(cast, talk):
    for path in ("/talks/", talk.get_absolute_url()):
        assert "no-store" in cast.owner.client.get(path)["Cache-Control"]


@pytest.mark.django_db(transaction=True)
def test_what_is_said_and_what_is_taken_back_is_published(cast, talk):
    def published():
        return list(Change.objects.filter(topic=f"talks/{talk.pk}").values_list("key", flat=True))

    say(cast.owner, talk, "Hello!")
    message = Message.objects.get()
    assert published() == [str(message.pk)]
    cursor = latest(f"talks/{talk.pk}")
    message.delete()
    assert int(latest(f"talks/{talk.pk}")) > int(cursor)


def test_a_deleted_wish_takes_its_conversations_along(cast, wish, talk, monkeypatch):
    say(cast.owner, talk, "Hello!")
    published = []
    monkeypatch.setattr(live, "publish", lambda topic, key: published.append(topic))
    cast.owner.client.post(f"/wishes/{wish.pk}/delete")
    assert not Message.objects.exists()
    assert published == ["wishes"]
    assert not live.is_one_of_the_two(cast.owner.user, talk.pk)


def test_a_deleted_member_takes_theirs_along(cast, talk):
    say(cast.member, talk, "Hello!")
    cast.member.user.delete()
    assert not Talk.objects.exists()
    assert Wish.objects.exists()
