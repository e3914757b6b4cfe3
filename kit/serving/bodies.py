"""Gives Django the length of chunked bodies, as Nginx does where it is in front. Without a length, Django takes a form
for empty. A body over LIMIT_UPLOAD gets 413 unread: forms with files are passed on without their body, so that Django
answers with the page for it (kit.files.UploadLimit)."""

import time
from io import BytesIO
from tempfile import SpooledTemporaryFile

from django.conf import settings

# Bytes read at a time.
PIECE = 64 * 1024
TOO_LARGE = b"413 Payload too large"
# Seconds to read and discard the rest of a body that is too large: a client that is still sending sees no response.
DRAINS_FOR = 10
FORM = "multipart/form-data"


def most() -> int:
    return settings.LIMIT_UPLOAD * 1024 * 1024


class _Body(SpooledTemporaryFile):
    """The body so far; on disk when it is large, like Django's uploads."""

    def __init__(self):
        super().__init__(settings.FILE_UPLOAD_MAX_MEMORY_SIZE)

    def add(self, piece: bytes) -> bool:
        """Add a piece. Returns False if the body is now too large."""
        self.write(piece)
        return self.tell() <= most()

    def length(self) -> int:
        """The total length. Rewinds the body for reading."""
        length = self.tell()
        self.seek(0)
        return length


def wsgi(application):
    def with_length(environ, start_response):
        length = environ.get("CONTENT_LENGTH")
        if length and int(length) > most():
            return too_large(environ, start_response, int(length))
        if "HTTP_TRANSFER_ENCODING" not in environ or length:
            return application(environ, start_response)
        body = _Body()
        while piece := environ["wsgi.input"].read(PIECE):
            if not body.add(piece):
                body.close()
                return too_large(environ, start_response, most() + 1)
        environ["CONTENT_LENGTH"] = str(body.length())
        # Closed by garbage collection after the request, as a response may still read from it.
        environ["wsgi.input"] = body
        return application(environ, start_response)

    def too_large(environ, start_response, length):
        if not drained(environ["wsgi.input"]):
            # The rest is not a request. Gunicorn drops an application's "Connection: close" (gunicorn.conf.py).
            getattr(environ["wsgi.input"], "force_close", bool)()
        if environ.get("CONTENT_TYPE", "").startswith(FORM):
            return application({**environ, "CONTENT_LENGTH": str(length), "wsgi.input": BytesIO()}, start_response)
        start_response("413 Request Entity Too Large", [("Content-Type", "text/plain")])
        return [TOO_LARGE]

    return with_length


def drained(body) -> bool:
    """Read the body to its end. Returns False if it is longer than LIMIT_UPLOAD or takes too long."""
    end = time.monotonic() + DRAINS_FOR
    for _ in range(0, most(), PIECE):
        if not body.read(PIECE):
            return True
        if time.monotonic() > end:
            break
    return False


def asgi(application):
    async def with_length(scope, receive, send):
        sent = dict(scope["headers"])
        length = int(sent.get(b"content-length") or 0)
        if length > most():
            return await too_large(scope, receive, send, sent)
        if b"transfer-encoding" not in sent or b"content-length" in sent:
            return await application(scope, receive, send)
        with _Body() as body:
            message = {"more_body": True}
            while message.get("more_body"):
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                if not body.add(message.get("body", b"")):
                    scope = {**scope, "headers": [*scope["headers"], (b"content-length", str(most() + 1).encode())]}
                    return await too_large(scope, receive, send, sent)
            length = body.length()
            more = True

            async def receive_again():
                nonlocal more
                if not more:
                    return await receive()
                piece = body.read(PIECE)
                more = body.tell() < length
                return {"type": "http.request", "body": piece, "more_body": more}

            headers = [*scope["headers"], (b"content-length", str(length).encode())]
            await application({**scope, "headers": headers}, receive_again, send)

    async def too_large(scope, receive, send, sent):
        if sent.get(b"content-type", b"").startswith(FORM.encode()):
            first = True

            async def receive_nothing():
                nonlocal first
                if first:
                    first = False
                    return {"type": "http.request", "body": b"", "more_body": False}
                while (message := await receive())["type"] != "http.disconnect":
                    pass
                return message

            return await application(scope, receive_nothing, send)
        headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": TOO_LARGE})

    return with_length
