import asyncio
import json

import pytest
from channels.db import database_sync_to_async
from django.utils import translation
from redis import asyncio as redis_client

from kit.live import audience, changes, hints, topics
from kit.live import hub as hubs


@pytest.fixture
def notes(monkeypatch):
    """A topic whose objects are the keys of a dictionary, key: text."""
    objects = {}

    def render(keys):
        return {key: f"<p lang={translation.get_language()}>{objects[key]}</p>" for key in keys if key in objects}

    monkeypatch.setattr(topics, "REGISTRATIONS", {})
    topics.register("notes", render, public=True)
    topics.register("rooms/<int:room>", lambda keys, room: render(keys), public=True)
    return objects


async def save(notes, key, text="text", topic="notes"):
    notes[key] = text
    await database_sync_to_async(topics.publish)(topic, key)


def follow(topic="notes", language="en", position=None, visitor=None):
    return hubs.follow(topics.get(topic), language, position, visitor)


def read(topic="notes", position=None, language="en", viewer=None):
    """The message for one reader, as it sees it; None when its page must be loaded anew."""
    reading = (language, position, viewer)
    message = changes.after(topics.get(topic), {reading})[reading]
    return message and json.loads(message.text)


def keys(message):
    return [change["id"] for change in json.loads(message.text)["changes"]]


async def soon(awaitable, seconds=2):
    async with asyncio.timeout(seconds):
        return await awaitable


async def until(condition, seconds=3):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (what is waited for tells nobody)
            await asyncio.sleep(0.01)


async def listening(process):
    """Until hints are heard: one that comes before the subscription is lost."""
    process.start()
    heard, hear = [], process._hear
    process._hear = lambda hint: (heard.append(hint), hear(hint))
    while not heard:
        await hints._send({"type": "live.hint", "topic": "nobody's"})
        await asyncio.sleep(0.01)
    process._hear = hear


@pytest.fixture(scope="session")
def server(notes_server):
    return notes_server


class Redis:
    """The Redis of the tests, and those connections to it that were opened later than this one."""

    def __init__(self, client, number):
        self.client = client
        self.number = number

    async def connections(self):
        """The numbers of those that are open."""
        return {int(each["id"]) for each in await self.client.client_list() if int(each["id"]) > self.number}

    async def cut(self, numbers):
        """End these, as a restart of Redis ends all."""
        for number in numbers:
            await self.client.client_kill_filter(_id=number)


@pytest.fixture
async def redis(settings):
    if not settings.REDIS_URL:
        pytest.skip("without REDIS_URL there is no Redis")
    async with redis_client.from_url(settings.REDIS_URL, single_connection_client=True) as client:
        yield Redis(client, await client.client_id())


@pytest.fixture
async def process(notes, transactional_db):
    """All hubs of the event loop of this test."""
    process = hubs._processes[asyncio.get_running_loop()] = hubs._Process()
    yield process
    examining = audience._process().examining
    tasks = [*process.tasks, *([examining] if examining else [])]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await hubs.get_channel_layer().flush()
