"""Visitors' files: names, storage and serving. Keep it in step with nginx/snippets/media.conf."""

import asyncio
import contextlib
import os
import posixpath
import re
import secrets
import time

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadhandler import FileUploadHandler
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.tasks import task

# By extension. Other files are application/octet-stream. Only images open in a browser.
TYPES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".pdf": "application/pdf",
    ".webm": "video/webm",
}
POLICY = "default-src 'none'; sandbox; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
CACHED = "private, max-age=3600"
# Below MEDIA_ROOT. Only private_file() serves these files.
PRIVATE = "private/"
# Nginx's internal location for the answers of private_file().
INTERNAL = "/private-media/"
CHUNK = 256 * 1024
DAY = 24 * 3600


class RandomNames:
    """Gives uploaded files unguessable names. Only a harmless extension of the visitor's name remains."""

    def generate_filename(self, filename):
        folder, name = posixpath.split(str(filename).replace("\\", "/"))
        extension = re.search(r"\.[A-Za-z0-9]{1,10}\Z", name)
        name = secrets.token_urlsafe(16) + (extension[0].lower() if extension else "")
        return super().generate_filename(posixpath.join(folder, name))


class Files(RandomNames, FileSystemStorage):
    """STORAGES["default"] unless MEDIA_STORE is set."""


class UploadLimit(FileUploadHandler):
    """Refuses a form over LIMIT_UPLOAD before storing any of it, where no Nginx does."""

    def handle_raw_input(self, input_data, META, content_length, boundary, encoding=None):
        if content_length > settings.LIMIT_UPLOAD * 1024 * 1024:
            raise RequestDataTooBig(f"The body is larger than LIMIT_UPLOAD={settings.LIMIT_UPLOAD} megabytes.")

    def receive_data_chunk(self, raw_data, start):
        return raw_data

    def file_complete(self, file_size):
        return None


def headers(name: str) -> dict[str, str]:
    """The response headers, with the content type, for a visitor's file of this name."""
    kind = TYPES.get(posixpath.splitext(name)[1].lower(), "application/octet-stream")
    return {
        **settings.STATIC_HEADERS,
        "Content-Type": kind,
        "Content-Security-Policy": POLICY,
        "Cache-Control": CACHED,
        **({} if kind.startswith("image/") else {"Content-Disposition": "attachment"}),
    }


def private_file(file):
    """The response with a FileField's file, once your view has decided that the visitor may have it. Store such files
    below private/ (upload_to="private/invoices/"), which has no public URL."""
    if not isinstance(file.storage, FileSystemStorage):
        # The store's URL is signed, and expires.
        return HttpResponseRedirect(file.url)
    if settings.SLOT:
        # Nginx sends the file with its own headers, and the worker is free.
        kind = headers(file.name)["Content-Type"]
        response = HttpResponse(content_type=kind, headers={"X-Accel-Redirect": INTERNAL + file.name})
    elif not file.storage.exists(file.name):
        raise Http404(f"There is no file {file.name}.")
    elif settings.SERVER_INTERFACE == "ASGI":
        response = StreamingHttpResponse(_pieces(file.path), headers=headers(file.name))
        response.headers["Content-Length"] = str(os.path.getsize(file.path))
    else:
        wanted = headers(file.name)
        # As an argument: Django guesses over a type in the headers.
        kind, attached = wanted.pop("Content-Type"), "Content-Disposition" in wanted
        response = FileResponse(file.storage.open(file.name), content_type=kind, headers=wanted, as_attachment=attached)
    return response


@task
def prune() -> None:
    """Delete partial uploads that killed servers have left (TMPDIR in docker-compose.yml)."""
    for file in settings.MEDIA_ROOT.glob(".uploads/*"):
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < time.time() - DAY:
                file.unlink()


async def _pieces(path):
    with await asyncio.to_thread(open, path, "rb") as file:
        while piece := await asyncio.to_thread(file.read, CHUNK):
            yield piece
