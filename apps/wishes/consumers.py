"""An application's own WebSocket, at live/talks/PK (the project's urls.py): it carries what the page of a conversation
sends. The page receives through the conversation's topic, which loses nothing."""

import json

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.http import Http404

from kit.live import announce

from .live import is_one_of_the_two, talk_topic
from .talks import answer, say

UNSUPPORTED_DATA = 1003
FORBIDDEN = 4403


class TalkConsumer(AsyncJsonWebsocketConsumer):
    """{"token": UUID, "text": "…"} is answered with {"saved": token} or {"token": token, "errors": ["…"]};
    {"typing": true} and {"here": true} are announced to both with the user's name."""

    # A name without a layer: the consumer joins no group, and so needs no Redis.
    channel_layer_alias = "none"
    accepted = False

    async def connect(self):
        self.user, self.pk = self.scope["user"], self.scope["url_route"]["kwargs"]["pk"]
        if not await database_sync_to_async(is_one_of_the_two)(self.user, self.pk):
            return await self.close(FORBIDDEN)
        await self.accept()
        self.accepted = True
        self.tell(came=self.user.username)

    async def disconnect(self, code):
        # Also called for refused visitors.
        if self.accepted:
            self.tell(left=self.user.username)

    async def receive(self, text_data=None, bytes_data=None):
        try:
            content = json.loads(text_data or "")
        except (ValueError, RecursionError):
            content = None
        await (self.receive_json(content) if isinstance(content, dict) else self.close(UNSUPPORTED_DATA))

    async def receive_json(self, content):
        for sign in {"typing", "here"} & content.keys():
            self.tell(**{sign: self.user.username})
        if "token" in content:
            try:
                await self.send_json(await database_sync_to_async(self.save)(content))
            except Http404:
                await self.close(FORBIDDEN)

    def save(self, content):
        return answer(say(self.user, self.pk, content))

    def tell(self, **message):
        announce(talk_topic(self.pk), message)
