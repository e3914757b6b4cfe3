import asyncio

import pytest
from channels.db import database_sync_to_async
from django.utils import translation

from apps.live import hub as hubs
from apps.live import topics


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


async def close(hub):
    for task in hub.tasks:
        task.cancel()
    await asyncio.gather(*hub.tasks, return_exceptions=True)
    hubs._hubs.clear()
    await hubs.get_channel_layer().flush()


@pytest.fixture
async def hub(notes, transactional_db):
    hub = hubs.hub("notes")
    yield hub
    await close(hub)
