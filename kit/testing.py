"""Test helpers: fill in a page's form whatever its model's fields, and ask for a live topic on each transport."""

import base64
import warnings

from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django import forms
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.validators import FileExtensionValidator
from django.test import Client
from django.utils.module_loading import import_string

# By type of field, subclasses first. Texts hold HTML, which pages must escape.
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
# A PNG of one pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def filled(form: forms.BaseForm) -> dict[str, str | SimpleUploadedFile]:
    """Valid data for `form`: the first of each choice, a small file where one is required, else an example value of the
    field's type."""
    answers = {}
    for name, field in form.fields.items():
        if field.disabled:
            continue
        if isinstance(field, forms.FileField) and field.required:
            answers[form.add_prefix(name)] = SimpleUploadedFile(f"example.{_extension(form, name)}", PIXEL)
        else:
            answers[form.add_prefix(name)] = str(_value(field))
    return answers


def _extension(form: forms.BaseForm, name: str) -> str:
    """The extension of an image, unless the field of the form or the model allows only others."""
    validators = [*form.fields[name].validators]
    if isinstance(form, forms.BaseModelForm):
        validators += [each for field in form.instance._meta.fields if field.name == name for each in field.validators]
    allowed = [each.allowed_extensions for each in validators if isinstance(each, FileExtensionValidator)]
    return next((extensions[0] for extensions in allowed if extensions and "png" not in extensions), "png")


def _value(field: forms.Field) -> object:
    if isinstance(field, forms.ChoiceField | forms.ModelChoiceField):
        return next((value for value, _ in field.choices if str(value)), "")
    return next((value for kind, value in VALUES.items() if isinstance(field, kind)), "")


def live_statuses(client: Client, topic: str) -> dict[str, int]:
    """The status of each transport of a live topic: 403 if this client may not follow it, else 200 (WebSocket: 101).

    Needs `pytest.mark.django_db(transaction=True)`, because database_sync_to_async closes other tests' connections.
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
    # Allow missing static files.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        server = ApplicationCommunicator(import_string(settings.ASGI_APPLICATION), scope)
    await server.send_input({"type": "websocket.connect"})
    answer = await server.receive_output(5)
    await server.send_input({"type": "websocket.disconnect", "code": 1001})
    await server.wait(5)
    return 101 if answer["type"] == "websocket.accept" else answer["status"]
