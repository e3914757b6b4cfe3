"""Asks Django's own ASGI handler and ours the same, as a server would, and compares what they send."""

import asyncio
import gzip
import re
import threading

from channels.db import database_sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.db import connections

from kit.serving.handler import Handler
from kit.serving.threads import RequestExecutor

BUILT_IN = [
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
OTHERS = "workshop.tests.handler.middleware."
BOUND = 2


def after(name, *middleware):
    """BUILT_IN with these behind the middleware of that name."""
    place = next(index for index, each in enumerate(BUILT_IN) if each.endswith(name)) + 1
    return [*BUILT_IN[:place], *(OTHERS + each for each in middleware), *BUILT_IN[place:]]


def close_connections(threads):
    """On every thread of the set, or PostgreSQL would not let the test database go."""
    together = threading.Barrier(threads.started + 1)

    def close():
        together.wait(5)
        connections.close_all()

    futures = [RequestExecutor(threads).submit(close) for _ in range(threads.started)]
    together.wait(5)
    for future in futures:
        future.result(5)


class Client:
    """Sends requests to a handler as a server would, and keeps cookies."""

    def __init__(self, handler):
        self.handler = handler
        self.cookies = {}

    async def ask(self, path, method="GET", headers=None, body=b"", pieces=1, query=""):
        """The messages that the handler sends: [start, body, …]."""
        headers = {"host": "localhost", **(headers or {})}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body:
            headers.setdefault("content-type", "application/x-www-form-urlencoded")
            headers["content-length"] = str(len(body))
        size = -(-len(body) // pieces) or 1
        parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
        incoming = [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, 1)
        ]
        sent = []

        async def receive():
            if incoming:
                return incoming.pop(0)
            await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        scope = scope_of(path, method, headers, query)
        await asyncio.create_task(self.handler(scope, receive, send))
        for header, text in sent[0]["headers"] if sent else ():
            if header.lower() == b"set-cookie":
                cookie, _, rest = text.decode().partition(";")
                name, _, value = cookie.partition("=")
                self.cookies[name] = value
                if "Max-Age=0" in rest:
                    del self.cookies[name]
        return sent


def scope_of(path, method="GET", headers=None, query=""):
    return {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {"host": "localhost"}).items()],
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 8000),
    }


VOLATILE = [
    # Cookies and tokens are random, and dates pass.
    (rb"((?:csrftoken|sessionid|messages)=)[^;]+", rb"\1*"),
    (rb"(expires=)[^;]+", rb"\1*"),
    (rb'(name="csrfmiddlewaretoken" value=")\w+', rb"\1*"),
    (rb'(nonce[-=]"?)[\w-]+', rb"\1*"),
]


def settled(messages):
    """What must be the same: all but what is random, with the parts of a streamed body as they came."""
    if not messages:
        return []
    start, *parts = messages
    headers = [(name, hide(value)) for name, value in start["headers"]]
    if (b"Content-Encoding", b"gzip") in headers:
        # Django puts something random into each, so that its length tells nothing of its content.
        headers = [(name, value) for name, value in headers if name != b"Content-Length"]
        parts = [{"body": gzip.decompress(b"".join(part.get("body", b"") for part in parts))}]
    return [
        (start["status"], headers),
        *((hide(part.get("body", b"")), part.get("more_body", False)) for part in parts),
    ]


def hide(value):
    for pattern, replacement in VOLATILE:
        value = re.sub(pattern, replacement, value)
    return value


async def both(threads, *requests, before=None):
    """Ask each handler all these requests, one after the other with cookies kept; its answers must be the same.

    The answers of Handler.
    """
    answers = []
    for handler in (ASGIHandler(), Handler(threads)):
        client = Client(handler)
        if before:
            await database_sync_to_async(before)(client)
        answers.append([settled(await client.ask(**request)) for request in requests])
    assert answers[1] == answers[0]
    return answers[1]


def status(answer):
    return answer[0][0]


def header(answer, name):
    return [value.decode() for key, value in answer[0][1] if key.lower() == name.lower().encode()]


def body(answer):
    return b"".join(part for part, _ in answer[1:]).decode()
