"""What each process does once for all its open pages.

Each topic with readers in this process has a hub. A hint from the channel layer only wakes it. It then queries once for
the changes that its readers have not seen, renders each text once, and gives it to all waiting readers. A reader that
is still sending its last message gets all it missed in one message with the next round, so nothing queues for slow
readers. One query every few seconds finds the changes of all topics whose hints were lost.
"""

import asyncio
import contextvars
import json
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import batched
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer

from . import audience, changes, hints
from .topics import Topic

logger = logging.getLogger(__name__)

# Seconds between two looks at the database where no hint comes: what Redis did not deliver is late by at most this.
LOOK_EVERY = 4
# Seconds after which a reader with no news is sent an empty message: it keeps proxies from closing the connection
# (kit/serving/timeouts.py) and lets the other side notice a dead one.
HEARTBEAT = 20
# Heartbeats sent at a time. Changes wait for no more of them.
HEARTBEATS_AT_ONCE = 100
# The announcements that are kept for a reader who is still busy with something else.
ANNOUNCEMENTS_KEPT = 20


class Gone(Exception):
    """The reader's page must be reloaded, see changes.after."""


class Forbidden(Exception):
    """The reader may no longer follow the topic, see audience.watched."""


class Stopping(Exception):
    """The server is about to stop: come back, another will answer."""


REASONS = {audience.FORBIDDEN: Forbidden, audience.STOPPING: Stopping}


class Reader:
    """One open page: its language, and the position up to which it has seen everything."""

    __slots__ = (
        "announced", "at_once", "hints_heard", "hub", "language", "position", "quiet_since", "sent_away", "visitor",
        "waiting",
    )  # fmt: skip

    def __init__(self, hub: "Hub", language: str, position: int | None, visitor: audience.Visitor | None):
        self.hub = hub
        self.language = language
        self.position = position
        self.visitor = visitor
        self.waiting: asyncio.Future[changes.Message | None] | None = None
        self.sent_away: type[Exception] | None = None
        self.announced: deque | None = None
        # Sends a text without the reader's task if it can, and returns whether it did.
        self.at_once: Callable[[str], bool] | None = None
        # The number of the last hint whose changes it has seen.
        self.hints_heard = -1
        # None until the first message, which tells the reader its cursor even if nothing changed.
        self.quiet_since: float | None = None

    @property
    def is_waiting(self) -> bool:
        return self.waiting is not None and not self.waiting.done()

    @property
    def reading(self) -> changes.Reading:
        return self.language, self.position, self.visitor.user if self.hub.topic.per_viewer else None

    async def next(self) -> changes.Message:
        """The first message at once, then one for each round of changes, announcement or heartbeat. Raises Gone,
        Forbidden and Stopping."""
        if self.sent_away:
            raise self.sent_away
        if self.announced:
            message = changes.message(self.position, [], list(self.announced))
            self.announced = None
        else:
            self.waiting = asyncio.get_running_loop().create_future()
            if self.hints_heard != self.hub.hints:
                self.hub.wake()
            try:
                message = await self.waiting
            finally:
                self.waiting = None
        if message is None:
            raise Gone
        self.has(message)
        return message

    def give(self, message: changes.Message | None) -> None:
        """Give it the message it waits for. Waking its task costs more than sending, and is only needed while the last
        message has not left."""
        if message and self.at_once and self.at_once(message.text):
            self.has(message)
        else:
            self.waiting.set_result(message)

    def has(self, message: changes.Message) -> None:
        self.position = message.position
        self.quiet_since = asyncio.get_running_loop().time()

    def leave(self, reason: str) -> None:
        # One that is just being sent something asks for the next thing after that, and is told then.
        self.sent_away = REASONS[reason]
        if self.is_waiting:
            self.waiting.set_exception(self.sent_away)


class Hub:
    """The readers of one topic."""

    def __init__(self, topic: Topic):
        self.topic = topic
        self.readers: set[Reader] = set()
        self.hints = 0
        # Up to where it has read.
        self.position = 0
        self.woken = False
        self.rounds: asyncio.Task | None = None

    def hint(self) -> None:
        self.hints += 1
        self.wake()

    def wake(self) -> None:
        """Look at the database now, or once more after the look that is under way."""
        self.woken = True
        if self.rounds is None:
            self.rounds = _in_the_background(self._serve(), f"live {self.topic.name}")

    async def _serve(self) -> None:
        while self.woken and self.readers:
            self.woken = False
            try:
                await self._round()
            except Exception as error:
                # The database is away. Readers wait, and lose nothing: their positions are their own.
                logger.warning("No changes of %s read, trying again: %r", self.topic.name, error)
                await asyncio.sleep(1)
                self.woken = True
        self.rounds = None

    async def _round(self) -> None:
        waiting: dict[changes.Reading, list[Reader]] = {}
        for reader in self.readers:
            if reader.is_waiting:
                waiting.setdefault(reader.reading, []).append(reader)
        if not waiting:
            return
        hints_before = self.hints
        messages = await database_sync_to_async(changes.after)(self.topic, set(waiting))
        self.position = max((message.position for message in messages.values() if message), default=0)
        for reading, readers in waiting.items():
            message = messages[reading]
            for reader in readers:
                if not reader.is_waiting:
                    continue
                reader.hints_heard = hints_before
                if message is None or message.news or reader.quiet_since is None:
                    reader.give(message)

    def announce(self, text: str) -> None:
        """To all whose page is open already: `text` is JSON."""
        announced = json.loads(text)
        messages: dict[int, changes.Message] = {}
        for reader in self.readers:
            if reader.quiet_since is None:
                continue
            if not reader.is_waiting:
                reader.announced = reader.announced or deque(maxlen=ANNOUNCEMENTS_KEPT)
                reader.announced.append(announced)
                continue
            if reader.position not in messages:
                messages[reader.position] = changes.message(reader.position, [], [announced])
            reader.give(messages[reader.position])


class _Process:
    """All hubs of an event loop, and the two tasks that it needs while there are any."""

    def __init__(self):
        self.hubs: dict[str, Hub] = {}
        self.look_now = asyncio.Event()
        self.tasks: list[asyncio.Task] = []

    def start(self) -> None:
        if not self.tasks:
            self.tasks = [
                _in_the_background(self._listen(), "live hints"),
                _in_the_background(self._look_again(), "live looks"),
            ]

    async def _listen(self) -> None:
        """Receive every hint. Recovers from any exception of the channel layer."""
        layer = get_channel_layer()
        channel, tried_again = None, False
        try:
            while True:
                try:
                    channel = channel or await layer.new_channel()
                    await layer.group_add(hints.GROUP, channel)
                    tried_again = False
                    # Hints of earlier commits had no receiver.
                    self.look_now.set()
                    while True:
                        self._hear(await layer.receive(channel))
                except Exception as error:
                    # A kept connection may have been cut since it was last used. Retry on a new one at once.
                    if tried_again:
                        logger.warning("No hints come, changes are late by up to %s s: %r", LOOK_EVERY, error)
                        await asyncio.sleep(LOOK_EVERY)
                    tried_again = True
        finally:
            if channel:
                await layer.group_discard(hints.GROUP, channel)

    def _hear(self, hint: dict) -> None:
        if hub := self.hubs.get(hint["topic"]):
            if "announced" in hint:
                hub.announce(hint["announced"])
            else:
                hub.hint()

    async def _look_again(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self.look_now.wait()
            except TimeoutError:
                if not self.hubs:
                    break
            self.look_now.clear()
            horizon = 0
            try:
                horizon = await self._look()
            except Exception as error:
                logger.warning("No changes read, trying again: %r", error)
            await self._send_heartbeats(horizon)
        listening, _ = self.tasks
        listening.cancel()
        self.tasks = []

    async def _look(self) -> int:
        """Wake the hubs whose topic has moved. The horizon."""
        known = {name: hub.position for name, hub in self.hubs.items() if hub.rounds is None}
        moved = await database_sync_to_async(changes.moved)(known)
        horizon = moved.pop(changes.HORIZON)
        for name in moved:
            # One that was lost, or its own, which it has read by now.
            if (hub := self.hubs.get(name)) and moved[name] != hub.position:
                hub.hint()
        return horizon

    async def _send_heartbeats(self, horizon: int) -> None:
        due = asyncio.get_running_loop().time() - HEARTBEAT
        quiet = [
            reader
            for hub in self.hubs.values()
            if hub.rounds is None
            for reader in hub.readers
            if reader.quiet_since is not None and reader.quiet_since <= due and reader.is_waiting
        ]
        for some in batched(quiet, HEARTBEATS_AT_ONCE, strict=False):
            for reader in some:
                if reader.is_waiting:
                    # Up to the horizon, or the reader would one day be behind the oldest kept change.
                    reader.give(changes.message(max(reader.position, horizon), []))
            await asyncio.sleep(0.01)


_processes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Process] = WeakKeyDictionary()


def _in_the_background(work: Coroutine, name: str) -> asyncio.Task:
    # A context of its own: that of the request which happens to come first ends with that request.
    return asyncio.get_running_loop().create_task(work, context=contextvars.Context(), name=name)


def readers() -> int:
    """How many there are in this process."""
    return sum(len(hub.readers) for process in list(_processes.values()) for hub in list(process.hubs.values()))


@contextmanager
def follow(
    topic: Topic, language: str, position: int | None, visitor: audience.Visitor | None = None
) -> Iterator[Reader]:
    """Yield a reader at `position` (None: the newest change). `visitor` is required for topics that depend on the
    visitor, who must have been allowed already."""
    process = _processes.setdefault(asyncio.get_running_loop(), _Process())
    hub = process.hubs.setdefault(topic.name, Hub(topic))
    reader = Reader(hub, language, position, visitor)
    hub.readers.add(reader)
    process.start()
    try:
        with audience.watched(visitor, reader.leave, topic.may_follow):
            yield reader
    finally:
        hub.readers.discard(reader)
        if not hub.readers:
            del process.hubs[topic.name]
