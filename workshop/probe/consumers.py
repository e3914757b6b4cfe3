"""A WebSocket of one's own, that does what tests tell it to."""

import asyncio
import logging
import threading
import time

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.utils.translation import get_language

from .models import Post

logger = logging.getLogger(__name__)


class Obedient(AsyncJsonWebsocketConsumer):
    async def connect(self):
        number = self.scope["url_route"]["kwargs"]["number"]
        if number == 0:
            await self.fail()
        await self.accept()
        await self.send_json({"number": number, "user": self.scope["user"].get_username(), "language": get_language()})

    async def receive_json(self, content):
        await self.send_json(await getattr(self, content)())

    async def disconnect(self, code):
        logger.info("A consumer was disconnected with %s.", code)

    async def query(self):
        """The language, as a thread that is busy for a moment knows it, and that thread."""

        def work():
            Post.objects.count()
            time.sleep(0.1)
            return [get_language(), threading.current_thread().name]

        return await database_sync_to_async(work)()

    async def count_tasks(self):
        return len(asyncio.all_tasks())

    async def fail(self):
        raise RuntimeError("told to fail")

    async def be_busy(self):
        await asyncio.sleep(3)
        return "done"
