import asyncio

import pytest
from channels.db import database_sync_to_async
from django.utils import translation
from redis import asyncio as redis_client

from kit.live import hints, topics
from kit.live import hub as hubs


@pytest.fixture
def notes(monkeypatch):
    """A topic whose objects are the keys of a dictionary, key: text."""
    objects = {}

    def render(keys):
        return {key: f"<p lang={translation.get_language()}>{objects[key]}</p>" for key in keys if key in objects}

    monkeypatch.setitem(topics.TOPICS, "notes", render)
    return objects


async def save(notes, key, text="text"):
    notes[key] = text
    await database_sync_to_async(topics.publish)("notes", key)


async def soon(awaitable, seconds=2):
    async with asyncio.timeout(seconds):
        return await awaitable


async def until(condition, seconds=3):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (what is waited for tells nobody)
            await asyncio.sleep(0.01)


async def listening(hub):
    """Until the hub hears hints: one that comes before it has subscribed is lost."""
    while not hub.hints:
        await hints._send(hub.topic)
        await asyncio.sleep(0.01)


async def close(hub):
    for task in hub.tasks:
        task.cancel()
    await asyncio.gather(*hub.tasks, return_exceptions=True)
    hubs._hubs.clear()
    await hubs.get_channel_layer().flush()


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
async def hub(notes, transactional_db):
    hub = hubs.hub("notes")
    yield hub
    await close(hub)
