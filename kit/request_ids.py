"""Gives each request and WebSocket an id for its log lines, and returns it to the client as X-Request-ID.

Nginx sets and logs the id. It is accepted only from the proxies in FORWARDED_ALLOW_IPS: a client that could choose its
id could pass off its requests as another client's. Without one, an id in Nginx's format is generated here.
The application finds the id in its request's headers.

Both wrappers go outside the code that replaces the proxy's address with the visitor's.
"""

import re
import secrets

from kit.logs import request_id
from kit.serving.proxies import Proxies

HEADER = b"x-request-id"
# Characters with no special meaning in a log, a header or a shell.
SHAPE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# The extension in our server's scope that sends a text without `send` (kit/live/sockets.py).
AT_ONCE = "kit.at_once"
# The first messages of a response.
STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}


def choose(claimed: str, peer: str, proxies: Proxies) -> str:
    """`claimed` if `peer` is a trusted proxy, else a new id."""
    return claimed if SHAPE.fullmatch(claimed) and proxies.trusts(peer) else secrets.token_hex(16)


def asgi(application, trusted: str | None):
    proxies = Proxies(trusted)

    async def with_id(scope, receive, send):
        if scope["type"] == "lifespan":
            return await application(scope, receive, send)
        client = scope.get("client")
        claimed = b",".join([value for name, value in scope["headers"] if name == HEADER]).decode("latin-1")
        chosen = choose(claimed, client[0] if client else "", proxies)
        header = (HEADER, chosen.encode())
        if chosen != claimed:
            scope["headers"] = [*(each for each in scope["headers"] if each[0] != HEADER), header]
        # Each request or WebSocket has its own task, and so its own context.
        request_id.set(chosen)

        async def send_with_id(message):
            if message["type"] in STARTS:
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        if at_once := scope.get("extensions", {}).get(AT_ONCE):
            # This wrapper only needs to see the first message.
            at_once["send"] = send_with_id
        await application(scope, receive, send_with_id)

    return with_id


def wsgi(application, trusted: str | None):
    proxies = Proxies(trusted)

    def with_id(environ, start_response):
        claimed = environ.get("HTTP_X_REQUEST_ID", "")
        chosen = environ["HTTP_X_REQUEST_ID"] = choose(claimed, environ.get("REMOTE_ADDR", ""), proxies)
        # Keep it until the thread's next request: Gunicorn logs after this one has ended (gunicorn.conf.py).
        request_id.set(chosen)

        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Request-ID", chosen)], exc_info)

        return application(environ, start)

    return with_id
