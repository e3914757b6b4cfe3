"""HEAD is answered with headers alone, and at once, whatever the application streams. A stream that goes on would hold
the connection, and Nginx gives it to the next visitor as soon as it has the headers."""

import asyncio
from inspect import markcoroutinefunction


def asgi(application):
    # Without a coroutine of its own, which every other request would have to go through as well.
    @markcoroutinefunction
    def answer(scope, receive, send):
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return application(scope, receive, send)

        async def send_headers(message):
            if message["type"] == "http.response.start":
                await send(message)
                # From now on `receive` says that the client is gone, which ends what the application streams.
                await send({"type": "http.response.body"})
            else:
                # It must get to hear that, even if it waits for nothing.
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
            # A generator function starts its answer with the first part.
            next(iter(body), None)
        return _Unread(body)

    return answer


class _Unread:
    """Nothing, and the end of what would have been sent."""

    def __init__(self, body):
        self.close = getattr(body, "close", lambda: None)

    def __iter__(self):
        return iter(())
