"""The WebSocket of a conversation, as the project serves it."""

import json
import uuid

import pytest
from asgiref.testing import ApplicationCommunicator

from apps.wishes import consumers
from apps.wishes.models import Message
from kit.serving.asgi import get_asgi_application

pytestmark = pytest.mark.django_db(transaction=True)


class Socket(ApplicationCommunicator):
    """Like Channels' WebsocketCommunicator, which requires Daphne."""

    async def send(self, **message):
        await self.send_input({"type": "websocket.receive", **message})

    async def ask(self, content):
        await self.send(text=json.dumps(content))
        return json.loads((await self.receive_output())["text"])

    async def disconnect(self):
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait()


@pytest.fixture
def announced(monkeypatch):
    announced = []
    monkeypatch.setattr(consumers, "announce", lambda topic, message: announced.append((topic, message)))
    return announced


@pytest.fixture
def connect(talk, settings, announced):
    async def connect(person, pk=talk.pk):
        cookie = person.client.cookies.get(settings.SESSION_COOKIE_NAME)
        headers = [(b"cookie", cookie.OutputString().encode())] if cookie else []
        path = f"/live/talks/{pk}"
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers}
        socket = Socket(get_asgi_application(), scope)
        await socket.send_input({"type": "websocket.connect"})
        socket.answer = await socket.receive_output()
        return socket

    return connect


async def test_nobody_but_the_two_is_let_in(cast, staff, talk, connect, announced):
    for person, pk in ((cast.outsider, talk.pk), (staff, talk.pk), (cast.owner, 999_999), (cast.owner, 10**100)):
        socket = await connect(person, pk)
        assert (socket.answer["type"], socket.answer["code"]) == ("websocket.close", 4403)
        await socket.disconnect()
    assert announced == []


async def test_a_message_is_saved_and_answered(cast, talk, connect):
    for person, text in ((cast.owner, "안녕"), (cast.member, "Hello!")):
        socket = await connect(person)
        token = uuid.uuid4().hex
        assert await socket.ask({"token": token, "text": text}) == {"saved": token}
        await socket.disconnect()
    messages = [(message.author, message.text) async for message in Message.objects.select_related("author")]
    assert messages == [(cast.owner.user, "안녕"), (cast.member.user, "Hello!")]


async def test_what_is_sent_again_is_saved_once(cast, connect):
    token = uuid.uuid4().hex
    for _ in range(2):
        socket = await connect(cast.owner)
        assert await socket.ask({"token": token, "text": "Hello!"}) == {"saved": token}
        await socket.disconnect()
    assert await Message.objects.acount() == 1


@pytest.mark.parametrize(
    "message",
    [{"token": "1"}, {"token": None, "text": "a"}, {"token": [], "text": []}, {"token": "x", "text": "a\ud800"}],
    ids=str,
)
async def test_what_is_no_message_is_answered_with_the_errors(cast, connect, message):
    socket = await connect(cast.owner)
    answer = await socket.ask(message)
    assert answer["token"] == message["token"]
    assert answer["errors"]
    await socket.disconnect()
    assert not await Message.objects.aexists()


@pytest.mark.parametrize("data", ["", "{", "[]", "1", "null", "[" * 50_000, b"\xff"], ids=lambda data: repr(data)[:8])
async def test_what_is_no_json_object_ends_the_connection(cast, connect, data):
    socket = await connect(cast.owner)
    await socket.send(**{"bytes" if isinstance(data, bytes) else "text": data})
    assert (await socket.receive_output())["code"] == 1003


async def test_who_comes_types_and_leaves_is_announced_to_both(cast, talk, connect, announced):
    socket = await connect(cast.owner)
    await socket.send(text=json.dumps({"typing": True}))
    await socket.send(text=json.dumps({"here": True}))
    await socket.send(text=json.dumps({"came": True, "left": True, "nonsense": True}))
    await socket.disconnect()
    signs = [{"came": "owner"}, {"typing": "owner"}, {"here": "owner"}, {"left": "owner"}]
    assert announced == [(f"talks/{talk.pk}", sign) for sign in signs]


async def test_nothing_more_is_said_where_the_wish_is_gone(cast, wish, connect):
    socket = await connect(cast.member)
    await wish.adelete()
    await socket.send(text=json.dumps({"token": uuid.uuid4().hex, "text": "Hello!"}))
    assert (await socket.receive_output())["code"] == 4403
