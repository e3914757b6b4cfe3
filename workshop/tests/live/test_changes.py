import json

import pytest

from kit.live import changes
from kit.live.topics import publish

pytestmark = pytest.mark.django_db(transaction=True)


def read(position, language="en"):
    """The message for one reader, as it sees it; None when its page must be loaded anew."""
    reader = (language, position)
    message = changes.after("notes", {reader})[reader]
    return message and json.loads(message.text)


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
    messages = changes.after("notes", {("en", 0), ("ko", middle)})
    assert messages["en", 0].changes == 2
    assert json.loads(messages["ko", middle].text)["changes"] == [{"id": "2", "html": "<p lang=ko>two</p>"}]


def test_what_is_committed_while_a_reader_is_served_is_not_passed_over(notes, monkeypatch):
    newest = changes._newest

    def after_a_commit(topic):
        save(notes, "1", "just now")
        return newest(topic)

    monkeypatch.setattr(changes, "_newest", after_a_commit)
    message = read(0)
    if not message["changes"]:
        save(notes, "2", "later")
        message = read(int(message["cursor"]))
    monkeypatch.undo()
    assert {change["id"] for change in message["changes"]} >= set(notes)


def test_topics_do_not_mix(notes):
    save(notes, "1", "note")
    publish("others", "1")
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
    with django_assert_num_queries(1):
        changes.after("notes", {(language, position) for language in ("en", "ko") for position in range(5)})


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "1e3", "٣", " 1", "9" * 19, "9" * 400, "1\x00"])
def test_a_bad_cursor_is_answered_with_what_a_good_one_is(cursor):
    with pytest.raises(changes.BadCursor, match="after=42"):
        changes.parse(cursor)


def test_a_good_cursor_is_a_position():
    assert changes.parse("42") == 42
    assert changes.parse(None) is None
