"""Serves static and visitors' files under ASGI, outside Django's middleware, with WhiteNoise's headers."""

import asyncio
from functools import cache

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from django.conf import settings
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage

from .media import Media

CHUNK = 256 * 1024


class Storage(CompressedManifestStaticFilesStorage):
    """Caches each URL: the manifest, read at start, never changes."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.url = cache(self.url)


class StaticFiles:
    """ASGI application that serves STATIC_URL and passes everything else to `application`.

    Files are read on a thread in chunks, so that a large file blocks no event loop and fills no memory.
    """

    def __init__(self, application: ASGI3Application):
        self.application = application
        self.whitenoise = WhiteNoiseMiddleware(get_response=lambda request: None)
        self.media = Media()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if not scope["path"].startswith((self.whitenoise.static_prefix, settings.MEDIA_URL)):
            return await self.application(scope, receive, send)
        static_file = await asyncio.to_thread(self.find, scope["path"])
        if static_file is None:
            return await self.application(scope, receive, send)
        environ = {
            "HTTP_" + name.decode("latin-1").upper().replace("-", "_"): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        response = await asyncio.to_thread(static_file.get_response, scope["method"], environ)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        if response.file is not None:
            left = asyncio.create_task(_left(receive))
            try:
                # Browsers that seek in a film request it and disconnect, again and again.
                while not left.done() and (chunk := await asyncio.to_thread(response.file.read, CHUNK)):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            finally:
                left.cancel()
                response.file.close()
        await send({"type": "http.response.body", "body": b""})

    def find(self, path: str):
        if path.startswith(settings.MEDIA_URL):
            return self.media.find_file(path)
        if self.whitenoise.autorefresh:
            return self.whitenoise.find_file(path)
        return self.whitenoise.files.get(path)


async def _left(receive):
    while (await receive())["type"] != "http.disconnect":
        pass
