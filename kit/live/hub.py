"""One subscription per process and topic, whatever the number of open pages.

A hint from the channel layer only wakes the hub. It then asks the database once what its readers have not seen,
makes each text once, and hands it to all who wait. A reader that is still busy sending its last message gets what it
missed, in one message, with the first round after that: nothing queues up for a slow one.
"""

import asyncio
import contextvars
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer

from . import changes
from .hints import group_name

logger = logging.getLogger(__name__)

# Seconds between two looks at the database where no hint comes: what Redis did not deliver is late by at most this.
LOOK_EVERY = 4
# Seconds after which a reader with no news is sent an empty message: it keeps proxies from closing the connection
# (kit/serving/timeouts.py) and lets the other side notice a dead one.
HEARTBEAT = 20
# A server that stops sends its readers away one after the other, lest all come back in the same moment: so many a
# second, or as many as it takes to be done after so many seconds.
SENT_AWAY_A_SECOND = 25
SENT_AWAY_WITHIN = 4

_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, "Hub"]] = WeakKeyDictionary()


class Gone(Exception):
    """The reader's page must be loaded anew, see changes.after."""


class Stopping(Exception):
    """The server is about to stop: come back, another will answer."""


class Reader:
    """One open page: its language, and the position up to which it has seen everything."""

    __slots__ = ("hints_heard", "hub", "language", "leaving", "position", "quiet_since", "waiting")

    def __init__(self, hub: "Hub", language: str, position: int | None):
        self.hub = hub
        self.language = language
        self.position = position
        self.waiting: asyncio.Future[changes.Message | None] | None = None
        self.leaving = hub.stopping
        # The number of the last hint whose changes it has seen.
        self.hints_heard = -1
        # None until the first message, which tells the reader its cursor even if nothing changed.
        self.quiet_since: float | None = None

    async def next(self) -> changes.Message:
        """The first message at once, then one for each round of changes or heartbeat. Raises Gone and Stopping."""
        loop = asyncio.get_running_loop()
        if self.leaving:
            raise Stopping
        self.waiting = loop.create_future()
        if self.hints_heard != self.hub.hints:
            self.hub.wake.set()
        try:
            message = await self.waiting
        finally:
            self.waiting = None
        if message is None:
            raise Gone
        self.position = message.position
        self.quiet_since = loop.time()
        return message


class Hub:
    def __init__(self, topic: str):
        self.topic = topic
        self.readers: set[Reader] = set()
        self.hints = 0
        self.stopping = False
        self.wake = asyncio.Event()
        self.read = database_sync_to_async(changes.after)
        # A context of their own: that of the request which happens to come first ends with that request.
        create_task = asyncio.get_running_loop().create_task
        self.tasks = [
            create_task(work(), context=contextvars.Context(), name=f"live {topic}")
            for work in (self._listen, self._serve)
        ]

    @contextmanager
    def reader(self, language: str, position: int | None) -> Iterator[Reader]:
        """A reader that stands at `position` (None: at what is newest now), for as long as the context lasts."""
        reader = Reader(self, language, position)
        self.readers.add(reader)
        try:
            yield reader
        finally:
            self.readers.discard(reader)

    async def stop(self) -> None:
        """End every reader with Stopping, at most so many a second, and all within SENT_AWAY_WITHIN. Those whose turn
        it is not yet are served."""
        self.stopping = True
        readers = list(self.readers)
        each_time = max(SENT_AWAY_A_SECOND, len(readers) / SENT_AWAY_WITHIN) / 20
        sent = 0
        for number, reader in enumerate(readers):
            if number - sent >= each_time:
                sent = number
                await asyncio.sleep(1 / 20)
            # One that is just being sent something asks for the next thing after that, and is told then.
            reader.leaving = True
            if reader.waiting and not reader.waiting.done():
                reader.waiting.set_exception(Stopping)

    async def _listen(self) -> None:
        """Set `wake` at every hint. Comes back by itself from whatever the channel layer raises."""
        layer = get_channel_layer()
        while True:
            try:
                channel = await layer.new_channel()
                await layer.group_add(group_name(self.topic), channel)
                while True:
                    await layer.receive(channel)
                    self.hints += 1
                    self.wake.set()
            except Exception as error:
                logger.warning("No hints for %s, changes are late by up to %s s: %r", self.topic, LOOK_EVERY, error)
                await asyncio.sleep(LOOK_EVERY)

    async def _serve(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self.wake.wait()
            except TimeoutError:
                pass
            self.wake.clear()
            try:
                await self._round()
            except Exception as error:
                # The database is away. Readers wait, and lose nothing: their positions are their own.
                logger.warning("No changes of %s read, trying again: %r", self.topic, error)
                await asyncio.sleep(1)
                self.wake.set()

    async def _round(self) -> None:
        loop = asyncio.get_running_loop()
        waiting: dict[tuple[str, int | None], list[Reader]] = {}
        for reader in self.readers:
            if reader.waiting and not reader.waiting.done():
                waiting.setdefault((reader.language, reader.position), []).append(reader)
        if not waiting:
            return
        hints = self.hints
        messages = await self.read(self.topic, set(waiting))
        for key, readers in waiting.items():
            message = messages[key]
            for reader in readers:
                if reader.waiting is None or reader.waiting.done():
                    continue
                reader.hints_heard = hints
                news = message is None or message.changes or reader.quiet_since is None
                if news or loop.time() - reader.quiet_since >= HEARTBEAT:
                    reader.waiting.set_result(message)


def hub(topic: str) -> Hub:
    """The hub of `topic` in the event loop that is running."""
    hubs = _hubs.setdefault(asyncio.get_running_loop(), {})
    if topic not in hubs:
        hubs[topic] = Hub(topic)
    return hubs[topic]


async def stop() -> None:
    """Send every reader of this process away: the server is about to stop."""
    await asyncio.gather(*(each.stop() for each in _hubs.get(asyncio.get_running_loop(), {}).values()))
