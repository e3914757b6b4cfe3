"""Applications without Django: what they cost is what the server costs, the limit for everything else."""

HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "3")]
ASGI_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS]


async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": ASGI_HEADERS})
        await send({"type": "http.response.body", "body": b"ok\n"})


def wsgi(environ, start_response):
    start_response("200 OK", HEADERS)
    return [b"ok\n"]
