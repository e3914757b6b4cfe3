"""A change must not hide behind one that was written after it and committed before it."""

import json
import threading

import pytest
from django.db import connection, transaction

from kit.live import changes, topics
from kit.live.topics import publish

from .conftest import read

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
    reading = ("en", cursor, None)
    message = changes.after(topics.get("notes"), {reading})[reading]
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


def test_two_that_publish_in_the_same_topics_the_other_way_round_both_commit(notes):
    # On PostgreSQL each would hold the lock of its first topic, and wait for that of its second.
    both_written, failures = threading.Barrier(2), []

    def write(number, rooms):
        try:
            with transaction.atomic():
                for room in rooms:
                    publish(f"rooms/{room}", f"{number}-{room}")
                if connection.vendor == "postgresql":
                    both_written.wait(5)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    rooms = list(range(20))
    writers = [threading.Thread(target=write, args=(0, rooms)), threading.Thread(target=write, args=(1, rooms[::-1]))]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(10)
    assert failures == []
    assert {room: len(read(f"rooms/{room}", 0)["changes"]) for room in rooms} == dict.fromkeys(rooms, 2)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
def test_a_commit_does_not_wait_for_one_in_another_topic(notes):
    """The positions of rooms/1 are drawn, and its commit is held up for as long as the other takes."""
    with transaction.atomic():
        publish("rooms/1", "1")
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for room, waits in (("rooms/2", False), ("rooms/1", True)):
            other = threading.Thread(target=_commit, args=(room,))
            other.start()
            other.join(1)
            assert other.is_alive() == waits
    other.join(5)
    assert not other.is_alive()


def _commit(topic):
    try:
        publish(topic, "2")
    finally:
        connection.close()
