"""WebSockets the way the documentation of Channels has them, to compare kit.live with: /live/TOPIC/ws has a plain
ASGI application and one subscription per process instead."""

from channels.generic.websocket import AsyncWebsocketConsumer

GROUP = "lab.channels"


class Echo(AsyncWebsocketConsumer):
    """Sends every text back to who sent it."""

    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data, bytes_data)


class Group(AsyncWebsocketConsumer):
    """Sends every text to all who are connected, its sender included."""

    groups = [GROUP]

    async def receive(self, text_data=None, bytes_data=None):
        if text_data is not None:
            await self.channel_layer.group_send(GROUP, {"type": "lab.text", "text": text_data})

    async def lab_text(self, event):
        await self.send(event["text"])
