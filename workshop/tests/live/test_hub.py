import asyncio
import json
from contextlib import suppress

import pytest
from channels.db import database_sync_to_async
from django.db import OperationalError

from kit.live import changes, hints
from kit.live import hub as hubs

from .conftest import close, listening, save, soon, until


def keys(message):
    return [change["id"] for change in json.loads(message.text)["changes"]]


async def latest():
    return await database_sync_to_async(changes.latest)("notes")


@pytest.fixture
def reads(hub):
    """Every set of readers that the hub asked the database for."""
    calls, read = [], hub.read

    async def counted(topic, readers):
        calls.append(readers)
        return await read(topic, readers)

    hub.read = counted
    return calls


async def test_a_reader_is_told_its_cursor_at_once(hub):
    with hub.reader("en", None) as reader:
        assert json.loads((await soon(reader.next())).text) == {"cursor": "0", "changes": []}


async def test_a_change_is_pushed(hub, notes, monkeypatch):
    monkeypatch.setattr(hubs, "LOOK_EVERY", 60)
    with hub.reader("en", None) as reader:
        await soon(reader.next())
        await listening(hub)
        await save(notes, "1")
        assert keys(await soon(reader.next(), 1)) == ["1"]


async def test_a_reader_that_comes_back_catches_up(hub, notes):
    await save(notes, "1")
    cursor = await latest()
    await save(notes, "2")
    with hub.reader("en", int(cursor)) as reader:
        assert keys(await soon(reader.next())) == ["2"]


async def test_what_no_hint_announced_is_found_all_the_same(hub, notes, monkeypatch):
    monkeypatch.setattr(hubs, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(hints, "send", lambda topic: None)
    with hub.reader("en", None) as reader:
        await soon(reader.next())
        await save(notes, "1")
        assert keys(await soon(reader.next())) == ["1"]


async def test_all_readers_are_served_by_one_read(hub, notes, reads):
    readers = [hub.reader("en", None) for _ in range(50)]
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


async def test_a_reader_that_was_busy_gets_what_it_missed_in_one_message(hub, notes):
    with hub.reader("en", None) as reader:
        await soon(reader.next())
        for key in ("1", "2", "3"):
            await save(notes, key)
        await asyncio.sleep(0.2)
        assert keys(await soon(reader.next())) == ["1", "2", "3"]


async def test_a_quiet_reader_hears_a_heartbeat(hub, monkeypatch):
    monkeypatch.setattr(hubs, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(hubs, "HEARTBEAT", 0.2)
    with hub.reader("en", None) as reader:
        await soon(reader.next())
        assert keys(await soon(reader.next())) == []


async def test_a_database_that_is_away_costs_no_reader_anything(hub, notes, monkeypatch, caplog):
    read, failures = hub.read, [OperationalError("away"), OperationalError("away")]

    async def fails_twice(topic, readers):
        if failures:
            raise failures.pop()
        return await read(topic, readers)

    monkeypatch.setattr(hub, "read", fails_twice)
    await save(notes, "1")
    with hub.reader("en", 0) as reader:
        assert keys(await soon(reader.next(), 5)) == ["1"]
    assert "No changes of notes read" in caplog.text


@pytest.mark.parametrize("what", ["new_channel", "group_add", "receive"])
async def test_a_channel_layer_that_fails_is_subscribed_to_again(what, notes, transactional_db, monkeypatch, caplog):
    layer = hubs.get_channel_layer()
    does, failures = getattr(layer, what), [ConnectionError("away")]

    async def fails_once(*args, **kwargs):
        if failures:
            raise failures.pop()
        return await does(*args, **kwargs)

    monkeypatch.setattr(hubs, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(layer, what, fails_once)
    hub = hubs.hub("notes")
    await until(lambda: "No hints for notes" in caplog.text)
    monkeypatch.setattr(hubs, "LOOK_EVERY", 60)
    with hub.reader("en", None) as reader:
        await soon(reader.next())
        await listening(hub)
        await save(notes, "1")
        assert keys(await soon(reader.next(), 1)) == ["1"]
    await close(hub)


async def test_hints_come_again_after_redis_has_cut_every_connection(redis, hub, notes, monkeypatch):
    monkeypatch.setattr(hubs, "LOOK_EVERY", 60)
    with hub.reader("en", None) as reader:
        await soon(reader.next())
        await listening(hub)
        await redis.cut(await redis.connections())
        hub.hints = 0
        await soon(listening(hub), 5)
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


async def test_readers_are_sent_away_when_the_server_stops(hub):
    with hub.reader("en", None) as waiting, hub.reader("en", None) as busy:
        await soon(asyncio.gather(waiting.next(), busy.next()))
        pending = asyncio.ensure_future(waiting.next())
        await asyncio.sleep(0)
        await hubs.stop()
        with pytest.raises(hubs.Stopping):
            await soon(pending)
        with pytest.raises(hubs.Stopping):
            await soon(busy.next())


async def test_many_readers_are_not_sent_away_in_the_same_moment_even_if_all_are_sent_news(hub, notes, monkeypatch):
    monkeypatch.setattr(hubs, "SENT_AWAY_WITHIN", 0.5)
    loop = asyncio.get_running_loop()
    moments = []

    async def wait():
        with hub.reader("en", None) as reader, suppress(hubs.Stopping):
            while True:
                await reader.next()
        moments.append(loop.time())

    pages = asyncio.gather(*(wait() for _ in range(400)))
    await asyncio.sleep(0.5)
    await listening(hub)
    begin = loop.time()
    stopping = asyncio.ensure_future(hubs.stop())
    await save(notes, "1")
    await soon(stopping)
    await soon(pages)
    assert 0.3 < max(moments) - begin < 2
    for tenth in range(20):
        assert sum(tenth <= 10 * (moment - begin) < tenth + 1 for moment in moments) < 200


async def test_a_reader_that_leaves_is_forgotten(hub):
    with hub.reader("en", None):
        assert len(hub.readers) == 1
    assert not hub.readers
