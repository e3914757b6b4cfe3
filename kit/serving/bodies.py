"""Tells Django the length of a body that arrives in chunks, as Nginx does where it is in front. Without a length,
Django takes a form for empty. A body over DATA_UPLOAD_MAX_MEMORY_SIZE, with or without files, gets 413."""

from tempfile import SpooledTemporaryFile

from django.conf import settings

# Bytes that are read at a time.
PIECE = 64 * 1024
TOO_LARGE = b"413 Payload too large"


class _Body(SpooledTemporaryFile):
    """What has arrived so far; like an upload of Django's, on the disk when it is large."""

    def __init__(self):
        super().__init__(settings.FILE_UPLOAD_MAX_MEMORY_SIZE)

    def add(self, piece: bytes) -> bool:
        """False when it is too large now."""
        self.write(piece)
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        return most is None or self.tell() <= most

    def length(self) -> int:
        """That of the whole, which is read from the beginning next."""
        length = self.tell()
        self.seek(0)
        return length


def wsgi(application):
    def with_length(environ, start_response):
        if "HTTP_TRANSFER_ENCODING" not in environ or environ.get("CONTENT_LENGTH"):
            return application(environ, start_response)
        body = _Body()
        while piece := environ["wsgi.input"].read(PIECE):
            if not body.add(piece):
                body.close()
                start_response("413 Request Entity Too Large", [("Content-Type", "text/plain")])
                return [TOO_LARGE]
        environ["CONTENT_LENGTH"] = str(body.length())
        # It closes when the request is gone: a response may still read from it.
        environ["wsgi.input"] = body
        return application(environ, start_response)

    return with_length


def asgi(application):
    async def with_length(scope, receive, send):
        names = {name for name, _ in scope["headers"]}
        if b"transfer-encoding" not in names or b"content-length" in names:
            return await application(scope, receive, send)
        with _Body() as body:
            message = {"more_body": True}
            while message.get("more_body"):
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                if not body.add(message.get("body", b"")):
                    headers = [(b"content-type", b"text/plain")]
                    await send({"type": "http.response.start", "status": 413, "headers": headers})
                    return await send({"type": "http.response.body", "body": TOO_LARGE})
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

    return with_length
