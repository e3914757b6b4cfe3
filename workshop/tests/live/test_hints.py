"""How a hint leaves a process: from threads that work for an event loop, and from all others."""

import asyncio
import os
import select
import signal
import threading

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async

from kit.live import hints
from kit.logs import Clean, request_id

from .conftest import follow, listening, until


@pytest.fixture(autouse=True)
def background(monkeypatch):
    """One of the test's own."""
    background = hints._Background()
    monkeypatch.setattr(hints, "_background", background)
    yield background
    if background.loop:
        background.loop.call_soon_threadsafe(background.loop.stop)
        asyncio.run(until(lambda: not background.loop.is_running()))
        background.loop.close()


@pytest.fixture
def sent(monkeypatch):
    """The thread that each hint left on."""
    threads = []

    async def group_send(hint):
        await asyncio.sleep(0.05)
        threads.append(threading.current_thread())

    monkeypatch.setattr(hints, "_group_send", group_send)
    return threads


def as_a_worker(function):
    """Call it on a thread that is not the main one."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()


def test_all_hints_leave_on_one_thread(sent):
    for _ in range(3):
        as_a_worker(lambda: hints.send("notes"))
    asyncio.run(until(lambda: len(sent) == 3))
    assert [thread.name for thread in set(sent)] == ["hints"]


def test_a_hint_that_fails_is_logged_under_the_request_that_caused_it(monkeypatch, caplog):
    async def group_send(hint):
        raise OSError("Redis is away")

    def change():
        request_id.set("the-request")
        hints.send("notes")

    monkeypatch.setattr(hints, "_group_send", group_send)
    as_a_worker(change)
    asyncio.run(until(lambda: caplog.records))
    assert Clean().filter(caplog.records[0]).request_id == "the-request"


def test_a_worker_does_not_wait_for_a_hint(sent, monkeypatch):
    may_leave, group_send = threading.Event(), hints._group_send

    async def held_back(hint):
        await until(may_leave.is_set)
        await group_send(hint)

    monkeypatch.setattr(hints, "_group_send", held_back)
    as_a_worker(lambda: hints.send("notes"))
    may_leave.set()
    # Had it waited, this one would have been given up by now.
    asyncio.run(until(lambda: len(sent) == 1))


def test_a_command_waits_for_a_hint_as_it_may_end_right_after(sent):
    hints.send("notes")
    assert len(sent) == 1


async def test_a_thread_that_works_for_an_event_loop_sends_its_hint_there(sent):
    await database_sync_to_async(hints.send)("notes")
    assert sent == [threading.current_thread()]


@pytest.mark.django_db
def test_a_loop_that_is_over_is_not_asked(sent):
    # Its sync work is done on this thread, which remembers it.
    async_to_sync(database_sync_to_async(lambda: None))()
    hints.send("notes")
    assert [thread.name for thread in sent] == ["hints"]


# In Python's eyes every fork of a process with threads is a danger, and this one is about nothing else.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_a_thread_of_its_own(sent):
    hints.send("notes")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            hints.send("notes")
            os.write(writing, b"%d" % len(set(sent)))
        finally:
            os._exit(0)
    try:
        ready, _, _ = select.select([reading], [], [], 5)
        assert ready, "no hint leaves the child"
        assert os.read(reading, 10) == b"2"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
    hints.send("notes")
    assert len(set(sent)) == 1


async def test_a_connection_to_redis_is_kept_and_made_anew_when_it_was_cut(redis, process, caplog):
    with follow() as reader:
        await listening(process)
        others, heard = await redis.connections(), reader.hub.hints
        for _ in range(5):
            await asyncio.to_thread(hints.send, "notes")
        await until(lambda: reader.hub.hints == heard + 5)
        (kept,) = await redis.connections() - others
        await redis.cut({kept})
        await asyncio.to_thread(hints.send, "notes")
        await until(lambda: reader.hub.hints == heard + 6)
    assert "No hint sent" not in caplog.text
