"""Gives each request, and each WebSocket, an id: to the log lines it causes, and back to the client as X-Request-ID.

Nginx makes the id and logs it too. Only proxies are believed, those of FORWARDED_ALLOW_IPS: a client that could choose
its id could put its own requests under somebody else's. Without one, an id is made here, in the shape of Nginx's.
The application sees the same in its request's headers.

Both go around what puts the visitor's address in the place of the proxy's.
"""

import re
import secrets

from kit.logs import request_id
from kit.serving.proxies import Proxies

HEADER = b"x-request-id"
# Nothing of it can mean anything to a log, a header or a shell.
SHAPE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# The first message of an answer.
STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}


def choose(claimed: str, peer: str, proxies: Proxies) -> str:
    """`claimed` if `peer` is a proxy of ours, else an id of our own."""
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
        # Each has a task, and so a context, of its own.
        request_id.set(chosen)

        async def send_with_id(message):
            if message["type"] in STARTS:
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await application(scope, receive, send_with_id)

    return with_id


def wsgi(application, trusted: str | None):
    proxies = Proxies(trusted)

    def with_id(environ, start_response):
        claimed = environ.get("HTTP_X_REQUEST_ID", "")
        chosen = environ["HTTP_X_REQUEST_ID"] = choose(claimed, environ.get("REMOTE_ADDR", ""), proxies)
        # Until the thread's next request: Gunicorn writes its own lines after this one is over (gunicorn.conf.py).
        request_id.set(chosen)

        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Request-ID", chosen)], exc_info)

        return application(environ, start)

    return with_id
