import asyncio
import json
from contextlib import ExitStack, suppress

import pytest
from channels.db import database_sync_to_async
from django.db import OperationalError

from kit.live import audience, changes, hints, topics
from kit.live import hub as hubs
from kit.live.models import Change

from .conftest import follow, keys, listening, save, soon, until


async def latest():
    return await database_sync_to_async(changes.latest)("notes")


@pytest.fixture
def reads(monkeypatch):
    """Every set of readers that a hub asked the database for."""
    calls, after = [], changes.after

    def counted(topic, readers):
        calls.append(readers)
        return after(topic, readers)

    monkeypatch.setattr(changes, "after", counted)
    return calls


async def test_a_reader_is_told_its_cursor_at_once(process):
    with follow() as reader:
        assert json.loads((await soon(reader.next())).text) == {"cursor": "0", "changes": []}


async def test_a_change_is_pushed(process, notes, monkeypatch):
    monkeypatch.setattr(hubs, "LOOK_EVERY", 60)
    with follow() as reader:
        await soon(reader.next())
        await listening(process)
        await save(notes, "1")
        assert keys(await soon(reader.next(), 1)) == ["1"]


async def test_a_reader_that_comes_back_catches_up(process, notes):
    await save(notes, "1")
    cursor = await latest()
    await save(notes, "2")
    with follow(position=int(cursor)) as reader:
        assert keys(await soon(reader.next())) == ["2"]


async def test_what_no_hint_announced_is_found_all_the_same(process, notes, monkeypatch):
    monkeypatch.setattr(hubs, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(hints, "send", lambda topic, announced=None: None)
    with follow() as reader:
        await soon(reader.next())
        await save(notes, "1")
        assert keys(await soon(reader.next())) == ["1"]


async def test_all_readers_are_served_by_one_read(process, notes, reads):
    readers = [follow() for _ in range(50)]
    entered = [reader.__enter__() for reader in readers]
    await soon(asyncio.gather(*(reader.next() for reader in entered)))
    waiting = [asyncio.ensure_future(reader.next()) for reader in entered]
    await asyncio.sleep(0.2)
    reads.clear()
    await save(notes, "1")
    messages = await soon(asyncio.gather(*waiting))
    assert len(reads) == 1
    assert len({id(message.text) for message in messages}) == 1
    for reader in readers:
        reader.__exit__(None, None, None)


async def test_a_reader_that_was_busy_gets_what_it_missed_in_one_message(process, notes):
    with follow() as reader:
        await soon(reader.next())
        for key in ("1", "2", "3"):
            await save(notes, key)
        await asyncio.sleep(0.2)
        assert keys(await soon(reader.next())) == ["1", "2", "3"]


async def test_a_reader_that_can_be_sent_to_at_once_is_woken_only_when_it_cannot(process, notes):
    sent, blocked = [], False
    with follow() as reader:
        reader.at_once = lambda text: not blocked and not sent.append(text)
        waiting = asyncio.ensure_future(reader.next())
        await until(lambda: len(sent) == 1)
        await save(notes, "1")
        await until(lambda: len(sent) == 2)
        blocked = True
        await save(notes, "2")
        message = await soon(waiting)
    assert [[each["id"] for each in json.loads(text)["changes"]] for text in sent] == [[], ["1"]]
    assert keys(message) == ["2"]


async def test_a_quiet_reader_hears_a_heartbeat(process, monkeypatch):
    monkeypatch.setattr(hubs, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(hubs, "HEARTBEAT", 0.2)
    with follow() as reader:
        await soon(reader.next())
        assert keys(await soon(reader.next())) == []


async def test_a_database_that_is_away_costs_no_reader_anything(process, notes, monkeypatch, caplog):
    after, failures = changes.after, [OperationalError("away"), OperationalError("away")]

    def fails_twice(topic, readers):
        if failures:
            raise failures.pop()
        return after(topic, readers)

    monkeypatch.setattr(changes, "after", fails_twice)
    await save(notes, "1")
    with follow(position=0) as reader:
        assert keys(await soon(reader.next(), 5)) == ["1"]
    assert "No changes of notes read" in caplog.text


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("what", ["new_channel", "group_add", "receive"])
async def test_a_channel_layer_that_fails_is_subscribed_to_again(what, times, process, notes, monkeypatch, caplog):
    layer = hubs.get_channel_layer()
    does, failures = getattr(layer, what), [ConnectionError("away")] * times

    async def fails(*args, **kwargs):
        if failures:
            raise failures.pop()
        return await does(*args, **kwargs)

    # Only after a second failure it waits, and says so.
    monkeypatch.setattr(hubs, "LOOK_EVERY", 0.1 if times == 2 and what != "receive" else 60)
    monkeypatch.setattr(layer, what, fails)
    process.start()
    await until(lambda: not failures)
    if hubs.LOOK_EVERY == 0.1:
        await until(lambda: "No hints come" in caplog.text)
    monkeypatch.setattr(hubs, "LOOK_EVERY", 60)
    with follow() as reader:
        await soon(reader.next())
        await listening(process)
        await save(notes, "1")
        assert keys(await soon(reader.next(), 1)) == ["1"]


async def test_hints_come_again_after_redis_has_cut_every_connection(redis, process, notes, monkeypatch):
    monkeypatch.setattr(hubs, "LOOK_EVERY", 60)
    with follow() as reader:
        await soon(reader.next())
        await listening(process)
        await redis.cut(await redis.connections())
        await soon(listening(process), 5)
        await save(notes, "1")
        assert keys(await soon(reader.next(), 1)) == ["1"]


async def test_a_failing_hint_does_not_fail_the_write(notes, transactional_db, monkeypatch, caplog):
    async def away(*args):
        raise ConnectionError("away")

    monkeypatch.setattr(hints, "_group_send", away)
    before = await latest()
    await save(notes, "1")
    assert await latest() != before
    assert "No hint sent for notes" in caplog.text


async def test_readers_are_sent_away_when_the_server_stops(process):
    with follow() as waiting, follow() as busy:
        await soon(asyncio.gather(waiting.next(), busy.next()))
        pending = asyncio.ensure_future(waiting.next())
        await asyncio.sleep(0)
        await audience.stop()
        with pytest.raises(hubs.Stopping):
            await soon(pending)
        with pytest.raises(hubs.Stopping):
            await soon(busy.next())


async def test_many_readers_are_not_sent_away_in_the_same_moment_even_if_all_are_sent_news(process, notes, monkeypatch):
    monkeypatch.setattr(audience, "SENT_AWAY_WITHIN", 0.5)
    loop = asyncio.get_running_loop()
    moments = []

    async def wait():
        with follow() as reader, suppress(hubs.Stopping):
            while True:
                await reader.next()
        moments.append(loop.time())

    pages = asyncio.gather(*(wait() for _ in range(400)))
    await asyncio.sleep(0.5)
    await listening(process)
    begin = loop.time()
    stopping = asyncio.ensure_future(audience.stop())
    await save(notes, "1")
    await soon(stopping)
    await soon(pages)
    assert 0.3 < max(moments) - begin < 2
    for tenth in range(20):
        assert sum(tenth <= 10 * (moment - begin) < tenth + 1 for moment in moments) < 200


async def test_a_hub_comes_with_the_first_reader_of_its_topic_and_goes_with_the_last(process):
    with follow("rooms/1") as first:
        with follow("rooms/1") as second, follow("rooms/2"):
            assert first.hub is second.hub
            assert set(process.hubs) == {"rooms/1", "rooms/2"}
        assert set(process.hubs) == {"rooms/1"}
    assert not process.hubs


async def test_a_process_without_readers_hears_no_hints_and_one_that_has_some_again_does(process, notes, monkeypatch):
    monkeypatch.setattr(hubs, "LOOK_EVERY", 0.1)
    process.start()
    await until(lambda: not process.tasks)
    monkeypatch.setattr(hubs, "LOOK_EVERY", 60)
    with follow() as reader:
        await soon(reader.next())
        await listening(process)
        await save(notes, "1")
        assert keys(await soon(reader.next(), 1)) == ["1"]


async def test_any_number_of_quiet_topics_is_one_query(process, notes, monkeypatch, reads):
    looks, moved = [], changes.moved
    monkeypatch.setattr(changes, "moved", lambda known: looks.append(len(known)) or moved(known))
    with ExitStack() as pages:
        readers = [pages.enter_context(follow(f"rooms/{room}")) for room in range(50)]
        await soon(asyncio.gather(*(reader.next() for reader in readers)))
        pending = [asyncio.ensure_future(reader.next()) for reader in readers]
        await listening(process)
        await asyncio.sleep(0.1)
        reads.clear()
        looks.clear()
        process.look_now.set()
        await until(lambda: looks)
        await asyncio.sleep(0.1)
        assert (looks, reads) == ([50], [])
        for each in pending:
            each.cancel()


async def test_what_was_committed_before_the_subscription_is_not_late(process, notes, monkeypatch):
    subscribed, group_add = asyncio.Event(), process_layer().group_add

    async def later(*arguments):
        await subscribed.wait()
        await group_add(*arguments)

    monkeypatch.setattr(process_layer(), "group_add", later)
    monkeypatch.setattr(hubs, "LOOK_EVERY", 60)
    with follow() as reader:
        await soon(reader.next())
        await save(notes, "1")
        subscribed.set()
        assert keys(await soon(reader.next(), 1)) == ["1"]


def process_layer():
    return hubs.get_channel_layer()


async def test_an_open_page_hears_what_is_announced_and_stands_where_it_stood(process, notes):
    with follow() as reader, follow("rooms/1") as other:
        cursor = json.loads((await soon(reader.next())).text)["cursor"]
        await soon(other.next())
        await listening(process)
        await database_sync_to_async(topics.announce)("notes", {"typing": "Ann"})
        message = json.loads((await soon(reader.next())).text)
        assert message == {"cursor": cursor, "changes": [], "announced": [{"typing": "Ann"}]}
        await save(notes, "1")
        assert keys(await soon(reader.next())) == ["1"]
        assert not other.announced


async def test_a_busy_reader_hears_the_last_announcements_in_one_message_and_then_the_changes(process, notes):
    with follow() as reader:
        await soon(reader.next())
        await listening(process)
        for number in range(hubs.ANNOUNCEMENTS_KEPT + 5):
            topics.announce("notes", number)
        await save(notes, "1")
        await until(lambda: reader.announced and reader.announced[-1] == hubs.ANNOUNCEMENTS_KEPT + 4)
        announced = json.loads((await soon(reader.next())).text)["announced"]
        assert announced == list(range(5, hubs.ANNOUNCEMENTS_KEPT + 5))
        assert keys(await soon(reader.next())) == ["1"]


async def test_a_restored_database_is_noticed_without_a_hint(process, notes):
    await save(notes, "1")
    with follow() as reader:
        await soon(reader.next())
        await listening(process)
        waiting = asyncio.ensure_future(reader.next())
        await asyncio.sleep(0.1)
        await database_sync_to_async(Change.objects.all().delete)()
        process.look_now.set()
        with pytest.raises(hubs.Gone):
            await soon(waiting)
