import json
from datetime import timedelta

import pytest

from kit.live import changes, topics
from kit.live.models import Change
from kit.live.topics import publish

from .conftest import read as read_topic

pytestmark = pytest.mark.django_db(transaction=True)


def read(position, topic="notes", **options):
    return read_topic(topic, position, **options)


def save(notes, key, text):
    notes[key] = text
    publish("notes", key)


def test_an_empty_topic_stands_at_zero(notes):
    assert changes.latest("notes") == "0"
    assert read(0) == {"cursor": "0", "changes": []}


def test_a_reader_gets_what_changed_after_its_cursor(notes):
    save(notes, "1", "old")
    cursor = int(changes.latest("notes"))
    save(notes, "2", "new")
    message = read(cursor)
    assert message["changes"] == [{"id": "2", "html": "<p lang=en>new</p>"}]
    assert read(int(message["cursor"]))["changes"] == []


def test_a_reader_without_a_cursor_starts_from_now(notes):
    save(notes, "1", "old")
    assert read(None) == {"cursor": changes.latest("notes"), "changes": []}


def test_what_is_gone_is_said_with_null(notes):
    save(notes, "1", "here")
    del notes["1"]
    publish("notes", "1")
    assert read(0)["changes"] == [{"id": "1", "html": None}]


def test_the_newest_change_of_all_can_change_again(notes):
    save(notes, "1", "once")
    cursor = int(changes.latest("notes"))
    save(notes, "1", "twice")
    assert read(cursor)["changes"] == [{"id": "1", "html": "<p lang=en>twice</p>"}]


def test_what_changed_often_is_sent_once_and_last(notes):
    for key in ("1", "2", "1"):
        save(notes, key, "text")
    assert [change["id"] for change in read(0)["changes"]] == ["2", "1"]


def test_each_reader_gets_its_own_language_and_its_own_share(notes):
    save(notes, "1", "one")
    middle = int(changes.latest("notes"))
    save(notes, "2", "two")
    messages = changes.after(topics.get("notes"), {("en", 0, None), ("ko", middle, None)})
    assert messages["en", 0, None].news == 2
    assert json.loads(messages["ko", middle, None].text)["changes"] == [{"id": "2", "html": "<p lang=ko>two</p>"}]


def test_what_is_committed_while_a_reader_is_served_is_not_passed_over(notes, monkeypatch):
    moved = changes.moved

    def after_a_commit(known):
        save(notes, "1", "just now")
        return moved(known)

    monkeypatch.setattr(changes, "moved", after_a_commit)
    message = read(0)
    if not message["changes"]:
        save(notes, "2", "later")
        message = read(int(message["cursor"]))
    monkeypatch.undo()
    assert {change["id"] for change in message["changes"]} >= set(notes)


def test_topics_do_not_mix(notes):
    save(notes, "1", "note")
    publish("rooms/7", "1")
    assert [change["html"] for change in read(0)["changes"]] == ["<p lang=en>note</p>"]


def test_one_that_is_too_far_behind_loads_its_page_anew(notes, monkeypatch):
    monkeypatch.setattr(changes, "LIMIT", 3)
    for key in range(1, 6):
        save(notes, str(key), "text")
    newest = int(changes.latest("notes"))
    assert read(newest - 3)["changes"][0]["id"] == "3"
    assert read(newest - 4) is None


def test_one_that_is_ahead_of_a_restored_database_loads_its_page_anew(notes):
    save(notes, "1", "text")
    assert read(int(changes.latest("notes")) + 1) is None


def test_the_number_of_queries_does_not_grow_with_the_readers(notes, django_assert_num_queries):
    for key in range(1, 6):
        save(notes, str(key), "text")
    positions = Change.objects.filter(topic="notes").values_list("position", flat=True)
    readers = {(language, position, None) for language in ("en", "ko") for position in positions}
    with django_assert_num_queries(1):
        changes.after(topics.get("notes"), readers)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "1e3", "٣", " 1", "9" * 19, "9" * 400, "1\x00"])
def test_a_bad_cursor_is_answered_with_what_a_good_one_is(cursor):
    with pytest.raises(changes.BadCursor, match="after=42"):
        changes.parse(cursor)


def test_a_good_cursor_is_a_position():
    assert changes.parse("42") == 42
    assert changes.parse(None) is None


def test_one_look_finds_the_topics_that_have_moved_among_any_number(notes, django_assert_num_queries):
    for room in (1, 2):
        save_in(notes, f"rooms/{room}")
    known = {f"rooms/{room}": int(changes.latest(f"rooms/{room}")) for room in range(1, 1000)}
    save_in(notes, "rooms/2")
    save_in(notes, "rooms/999")
    with django_assert_num_queries(1):
        moved = changes.moved(known)
    assert set(moved) == {"rooms/2", "rooms/999", changes.HORIZON}


def save_in(notes, topic, key="1"):
    notes[key] = "text"
    publish(topic, key)


def age(*topic_names, days=2):
    """Make what was published there as old."""
    for change in Change.objects.filter(topic__in=topic_names):
        Change.objects.filter(pk=change.pk).update(at=change.at - timedelta(days=days))


def test_what_is_older_than_a_day_is_removed_and_who_was_away_for_longer_loads_the_page_anew(notes):
    save_in(notes, "rooms/1", "1")
    away = int(changes.latest("rooms/1"))
    save_in(notes, "rooms/1", "2")
    seen = int(changes.latest("rooms/1"))
    age("rooms/1")
    save_in(notes, "notes")
    changes.prune("notes")
    assert not Change.objects.filter(topic="rooms/1").exists()
    assert Change.objects.filter(topic="notes").exists()
    assert read(away, "rooms/1") is None
    assert read(seen, "rooms/1") == {"cursor": str(seen), "changes": []}


def test_a_page_that_stays_open_outlives_the_removal_of_what_it_has_seen(notes):
    save_in(notes, "rooms/1")
    seen = int(changes.latest("rooms/1"))
    save_in(notes, "rooms/2")
    age("rooms/1", "rooms/2")
    changes.prune("notes")
    horizon = changes.moved({"rooms/1": seen})
    # Not moved: nothing happened in it.
    assert set(horizon) == {changes.HORIZON}
    stands = max(seen, horizon[changes.HORIZON])
    assert read(stands, "rooms/1") == {"cursor": str(stands), "changes": []}
    save_in(notes, "rooms/1", "2")
    assert [change["id"] for change in read(stands, "rooms/1")["changes"]] == ["2"]


def test_a_page_that_is_built_after_a_removal_stands_at_the_horizon(notes):
    save_in(notes, "rooms/1")
    age("rooms/1")
    changes.prune("notes")
    cursor = changes.latest("rooms/9")
    assert int(cursor) > 0
    assert read(int(cursor), "rooms/9") == {"cursor": cursor, "changes": []}
    assert read(None, "rooms/9") == {"cursor": cursor, "changes": []}


def test_what_is_over_the_limit_is_removed_and_the_rest_is_served_as_before(notes, monkeypatch):
    monkeypatch.setattr(changes, "LIMIT", 3)
    for key in range(1, 10):
        save_in(notes, "notes", str(key))
        save_in(notes, "rooms/1", str(key))
    newest = int(changes.latest("notes"))
    positions = list(Change.objects.filter(topic="notes").order_by("-position").values_list("position", flat=True))
    before = [read(position) for position in positions]
    changes.prune("notes")
    assert Change.objects.filter(topic="notes").count() == 4
    assert Change.objects.filter(topic="rooms/1").count() == 9
    assert [read(position) for position in positions] == before
    assert [message is None for message in before] == [False] * 4 + [True] * 5
    assert newest == int(changes.latest("notes"))


def test_publishing_removes_what_is_old_by_itself(notes):
    save_in(notes, "rooms/1")
    age("rooms/1")
    for _ in range(topics.PRUNE_EVERY):
        publish("notes", "1")
    assert not Change.objects.filter(topic="rooms/1").exists()


@pytest.mark.parametrize("topic", ["note", "rooms/x", "rooms/007", "rooms/1/", "", "rooms/" + "1" * 200, "notes\0"])
def test_what_no_topic_fits_is_neither_published_nor_announced(notes, topic):
    for say in (topics.publish, topics.announce):
        with pytest.raises(ValueError, match="There is no live topic"):
            say(topic, "1")
    assert not Change.objects.exists()


def test_a_topic_for_each_viewer_is_rendered_for_each_of_them_alone(notes, owner, member):
    topics.register("mine", lambda keys, user: {key: f"for {user}" for key in keys}, public=True, per_viewer=True)
    publish("mine", "1")
    readers = {("en", 0, owner.user), ("en", 0, member.user), ("ko", 0, owner.user)}
    messages = changes.after(topics.get("mine"), readers)
    assert {str(viewer): json.loads(messages[language, position, viewer].text)["changes"][0]["html"]
            for language, position, viewer in readers} == {"owner": "for owner", "member": "for member"}  # fmt: skip
