"""Tells every process with open pages to look at a topic again, or passes an announcement on. Hints may be lost: a
failure is logged, and pages update seconds late or miss an announcement, nothing else."""

import asyncio
import json
import logging
import os
import threading
from concurrent.futures import Future
from contextvars import Context

from asgiref.sync import SyncToAsync, async_to_sync
from channels.layers import get_channel_layer

from kit.logs import request_id

logger = logging.getLogger(__name__)

# Seconds to send a hint.
TIMEOUT = 1
# The event loop holds only weak references to tasks.
_under_way: set[asyncio.Task] = set()


# One channel layer group for all topics: a process needs one subscription and discards hints without a reader, which
# costs less than subscribing for each page that comes and goes.
GROUP = "live"


def send(topic: str, announced: object = None) -> None:
    """Call after a change of `topic` was committed, or to announce something in it."""
    hint = {"type": "live.hint", "topic": topic}
    if announced is not None:
        hint["announced"] = json.dumps(announced)
    if _is_on_loop():
        task = asyncio.get_running_loop().create_task(_send(hint, request_id.get()))
        _under_way.add(task)
        task.add_done_callback(_under_way.discard)
        return
    if _has_loop():
        async_to_sync(_send)(hint, request_id.get())
        return
    sending = _background.run(_send(hint, request_id.get()))
    if threading.current_thread() is threading.main_thread():
        # A management command waits, as it may exit before the hint is sent. On a server's thread, the visitor does not
        # wait for Redis.
        sending.result()


async def _send(hint: dict, for_request: str = "") -> None:
    try:
        async with asyncio.timeout(TIMEOUT):
            try:
                await _group_send(hint)
            except Exception:
                # A kept connection may have been cut since the last hint. Retry on a new one.
                await _group_send(hint)
    except Exception as error:
        logger.warning(
            "No hint sent for %s, open pages will be late by seconds: %r",
            hint["topic"],
            error,
            extra={"request_id": for_request},
        )


async def _group_send(hint: dict) -> None:
    await get_channel_layer().group_send(GROUP, hint)


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _has_loop() -> bool:
    """Does this thread belong to an event loop? Then async_to_sync uses the loop's connection to Redis."""
    local = SyncToAsync.threadlocal
    loop = getattr(local, "main_event_loop", None)
    return loop is not None and local.main_event_loop_pid == os.getpid() and loop.is_running()


class _Background:
    """An event loop on its own thread, started on first use. Otherwise each hint would create a loop and a connection,
    which takes longer than the rest of a write."""

    def __init__(self):
        self.lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine) -> Future:
        with self.lock:
            if self.loop is None:
                loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, name="hints", daemon=True).start()
                self.loop = loop
        # In its own context: the connection keeps the context in which it was made.
        return Context().run(asyncio.run_coroutine_threadsafe, coroutine, self.loop)


_background = _Background()


def _start_anew() -> None:
    """A forked process has no such thread, and the connection belongs to its parent."""
    global _background  # noqa: PLW0603
    _background = _Background()


os.register_at_fork(after_in_child=_start_anew)
