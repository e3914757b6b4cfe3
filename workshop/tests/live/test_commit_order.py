"""A change must not hide behind one that was written after it and committed before it."""

import json
import threading

import pytest
from django.db import connection, transaction

from kit.live import changes
from kit.live.topics import publish

pytestmark = pytest.mark.django_db(transaction=True)


def written(key, has_written, may_commit):
    """Publish `key` in a transaction that stays open until `may_commit`, or for a second where it can't be."""
    try:
        with transaction.atomic():
            publish("notes", key)
            has_written.set()
            may_commit.wait(timeout=1)
    finally:
        connection.close()


def follow(cursor, seen):
    """Read on from `cursor` as an open page does; the new cursor."""
    message = changes.after("notes", {("en", cursor)})["en", cursor]
    seen += [change["id"] for change in json.loads(message.text)["changes"]]
    return message.position


def test_the_first_to_write_may_be_the_last_to_commit(notes):
    notes.update({"first": "text", "second": "text"})
    first_written, second_written, first_may_commit, at_once = (threading.Event() for _ in range(4))
    at_once.set()
    seen, cursor = [], 0

    first = threading.Thread(target=written, args=("first", first_written, first_may_commit))
    first.start()
    assert first_written.wait(5)
    # SQLite lets this one wait until the first has committed; PostgreSQL lets it overtake.
    second = threading.Thread(target=written, args=("second", second_written, at_once))
    second.start()
    second.join(0.5)
    cursor = follow(cursor, seen)
    if connection.vendor == "postgresql":
        assert seen == ["second"]
    first_may_commit.set()
    first.join()
    second.join()
    follow(cursor, seen)
    assert sorted(seen) == ["first", "second"]


def test_many_writers_at_once_hide_nothing(notes):
    keys = [str(number) for number in range(40)]
    notes.update(dict.fromkeys(keys, "text"))
    at_once = threading.Event()
    at_once.set()
    seen, cursor = [], 0

    def write(share):
        for key in share:
            written(key, threading.Event(), at_once)

    writers = [threading.Thread(target=write, args=(keys[start::8],)) for start in range(8)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        cursor = follow(cursor, seen)
    follow(cursor, seen)
    assert sorted(seen, key=int) == keys
