"""Tells every process with open pages to look at a topic again, or what is announced in it. It is only a hint: whatever
goes wrong with it, and it is said in the log, makes pages late by seconds or loses an announcement, nothing else."""

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

# Seconds a hint may take.
TIMEOUT = 1
# An event loop keeps no task that nobody else keeps.
_under_way: set[asyncio.Task] = set()


# The group of the channel layer, one for all topics: a process needs one subscription, and throws away what it has no
# reader for, which takes less than a subscription for each page that comes and goes.
GROUP = "live"


def send(topic: str, announced: object = None) -> None:
    """Called where a change of `topic` was committed, or to announce something in it."""
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
        # That of a management command, which may end before the hint has left. The person whose change a worker has
        # saved does not wait for Redis.
        sending.result()


async def _send(hint: dict, for_request: str = "") -> None:
    try:
        async with asyncio.timeout(TIMEOUT):
            try:
                await _group_send(hint)
            except Exception:
                # A connection that was kept may have been cut since the last hint. The next one is new.
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
    """Does this thread work for an event loop? Then it has a connection to Redis, and async_to_sync uses that."""
    local = SyncToAsync.threadlocal
    loop = getattr(local, "main_event_loop", None)
    return loop is not None and local.main_event_loop_pid == os.getpid() and loop.is_running()


class _Background:
    """An event loop on a thread of its own, started when it is first needed. Without it each hint would make a loop
    and a connection, which takes longer than everything else that a write does."""

    def __init__(self):
        self.lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine) -> Future:
        with self.lock:
            if self.loop is None:
                loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, name="hints", daemon=True).start()
                self.loop = loop
        # In a context of its own: the connection keeps that of whoever happens to make it.
        return Context().run(asyncio.run_coroutine_threadsafe, coroutine, self.loop)


_background = _Background()


def _start_anew() -> None:
    """In a forked process the thread is not there, and the connection is its parent's."""
    global _background  # noqa: PLW0603
    _background = _Background()


os.register_at_fork(after_in_child=_start_anew)
