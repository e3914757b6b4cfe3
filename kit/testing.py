"""For tests of pages whose models change, which send what the form of the page asks for; and of who follows a topic."""

import warnings

from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django import forms
from django.conf import settings
from django.test import Client
from django.utils.module_loading import import_string

# By kind of field, the more special first. What is text is HTML as well, which no page may show as such.
VALUES = {
    forms.EmailField: "someone@example.com",
    forms.URLField: "https://example.com/",
    forms.SlugField: "a-slug",
    forms.UUIDField: "6f2a4b0e-5d3c-4a55-9c1b-0c5d1f2e3a4b",
    forms.JSONField: "{}",
    forms.GenericIPAddressField: "192.0.2.1",
    forms.DateTimeField: "2030-01-31 12:00",
    forms.DateField: "2030-01-31",
    forms.TimeField: "12:00",
    forms.DurationField: "01:00:00",
    forms.BooleanField: "on",
    forms.IntegerField: "1",
    forms.CharField: "<b>&",
}


def filled(form: forms.BaseForm) -> dict[str, str]:
    """A valid answer to `form`: of each choice the first, and else an example of its kind."""
    return {form.add_prefix(name): str(_value(field)) for name, field in form.fields.items() if not field.disabled}


def _value(field: forms.Field) -> object:
    if isinstance(field, forms.ChoiceField | forms.ModelChoiceField):
        return next((value for value, _ in field.choices if str(value)), "")
    return next((value for kind, value in VALUES.items() if isinstance(field, kind)), "")


def live_statuses(client: Client, topic: str) -> dict[str, int]:
    """What each transport of a live topic answers this client: 403 if it may not follow, else 200, a WebSocket 101.

    The test is one of `pytest.mark.django_db(transaction=True)`: database_sync_to_async closes any other's connection.
    """
    streams = {name: client.get(f"/live/{topic}/{name}").status_code for name in ("events", "changes")}
    return {"websocket": async_to_sync(_handshake)(client, topic), **streams}


async def _handshake(client: Client, topic: str) -> int:
    cookies = client.cookies.output(attrs=[], header="", sep=";")
    scope = {
        "type": "websocket",
        "path": f"/live/{topic}/ws",
        "query_string": b"",
        "headers": [(b"host", b"testserver"), (b"cookie", cookies.encode())],
        "extensions": {"websocket.http.response": {}},
    }
    # Static files need not be collected.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        server = ApplicationCommunicator(import_string(settings.ASGI_APPLICATION), scope)
    await server.send_input({"type": "websocket.connect"})
    answer = await server.receive_output(5)
    await server.send_input({"type": "websocket.disconnect", "code": 1001})
    await server.wait(5)
    return 101 if answer["type"] == "websocket.accept" else answer["status"]
