"""The project, and views that log from wherever code of a request may run."""

import asyncio
import contextvars
import logging
import threading

from asgiref.sync import sync_to_async
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import include, path

logger = logging.getLogger("workshop.tests.event")


def log(request):
    # What a client sends as X-Request-ID is not to be had in the application either.
    logger.info("happened, and the header says %s", request.headers["X-Request-ID"], extra={"order": 5})


def sync_view(request):
    log(request)
    return HttpResponse("sync")


async def async_view(request):
    log(request)
    return HttpResponse("async")


async def thread_view(request):
    await sync_to_async(log)(request)
    return HttpResponse("thread")


async def task_view(request):
    await asyncio.create_task(sync_to_async(log, thread_sensitive=False)(request))
    return HttpResponse("task")


def own_thread_view(request):
    thread = threading.Thread(target=contextvars.copy_context().run, args=[log, request])
    thread.start()
    thread.join()
    return HttpResponse("own thread")


def stream_view(request):
    def parts():
        yield b"one "
        log(request)
        yield b"two"

    return StreamingHttpResponse(parts())


def failing_stream_view(request):
    def parts():
        raise RuntimeError("the stream broke")
        yield

    return StreamingHttpResponse(parts())


def failing_view(request):
    try:
        int("x\n[2026-11-21 00:00:00] [1] [INFO] forged: line \x1b[31m")
    except ValueError as error:
        raise RuntimeError(f"{request.get_full_path()} {request.META!r} {request.POST!r} {request.body!r}") from error


urlpatterns = [
    path("sync", sync_view),
    path("async", async_view),
    path("thread", thread_view),
    path("task", task_view),
    path("own-thread", own_thread_view),
    path("stream", stream_view),
    path("failing-stream", failing_stream_view),
    path("failing", failing_view),
    path("", include("wisheasy.urls")),
]
