"""Answers HEAD with headers alone, and at once, even where the application streams. An endless stream would hold the
connection, which Nginx gives to the next visitor as soon as it has the headers."""

import asyncio
from inspect import markcoroutinefunction


def asgi(application):
    # Not a coroutine function, which would add a coroutine to every other request.
    @markcoroutinefunction
    def answer(scope, receive, send):
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return application(scope, receive, send)

        async def send_headers(message):
            if message["type"] == "http.response.start":
                await send(message)
                # From now on, `receive` reports a disconnect, which ends the application's stream.
                await send({"type": "http.response.body"})
            else:
                # Let the application notice the disconnect even if it never waits.
                await asyncio.sleep(0)

        return application(scope, receive, send_headers)

    return answer


def wsgi(application):
    def answer(environ, start_response):
        if environ["REQUEST_METHOD"] != "HEAD":
            return application(environ, start_response)
        started = False

        def start(*arguments):
            nonlocal started
            started = True
            return start_response(*arguments)

        body = application(environ, start)
        if not started:
            # A generator sends its response's start with the first part.
            next(iter(body), None)
        return _Unread(body)

    return answer


class _Unread:
    """An empty body that closes the original one."""

    def __init__(self, body):
        self.close = getattr(body, "close", lambda: None)

    def __iter__(self):
        return iter(())
