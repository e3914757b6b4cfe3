"""The workloads, each as a sync and an async view that do the same. workloads.py gives them their addresses."""

import asyncio
import random
import re
import time
from http import HTTPStatus

from asgiref.sync import sync_to_async
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from .computing import compute
from .live import broadcast
from .models import Row

ROWS = 1000
QUERIES = 5
PAGE_ROWS = 50
MAX_SECONDS = 5
FAN = 10
FAN_SECONDS = 0.1
# About 50 ms of pure Python on the machine this was written on.
CPU_ROUNDS = 250_000
PIECES = 20
PIECE_SECONDS = 0.05
DOWNLOAD = 20 * 1024 * 1024
CHUNK = 64 * 1024


def plain(request):
    return HttpResponse("wisheasy\n", content_type="text/plain; charset=utf-8")


async def plain_async(request):
    return plain(request)


def page(request):
    return render(request, "lab/page.html", {"numbers": range(1, PAGE_ROWS + 1)})


async def page_async(request):
    # A template that asks no database waits for nothing: a thread would gain it nothing.
    return page(request)


def query(request):
    return _answer_row(Row.objects.get(pk=_any_number()))


async def query_async(request):
    return _answer_row(await Row.objects.aget(pk=_any_number()))


def queries(request):
    return _answer_rows([Row.objects.get(pk=_any_number()) for _query in range(QUERIES)])


async def queries_async(request):
    return _answer_rows([await Row.objects.aget(pk=_any_number()) for _query in range(QUERIES)])


def upstream(request):
    try:
        seconds = _seconds(request)
    except ValueError as error:
        return _bad_request(error)
    time.sleep(seconds)
    return JsonResponse({"seconds": seconds})


async def upstream_async(request):
    try:
        seconds = _seconds(request)
    except ValueError as error:
        return _bad_request(error)
    await asyncio.sleep(seconds)
    return JsonResponse({"seconds": seconds})


def fanout(request):
    for _upstream in range(FAN):
        time.sleep(FAN_SECONDS)
    return JsonResponse({"upstreams": FAN, "seconds": FAN_SECONDS})


async def fanout_async(request):
    await asyncio.gather(*(asyncio.sleep(FAN_SECONDS) for _upstream in range(FAN)))
    return JsonResponse({"upstreams": FAN, "seconds": FAN_SECONDS})


def mixed(request):
    try:
        seconds = _seconds(request)
    except ValueError as error:
        return _bad_request(error)
    before = Row.objects.get(pk=_any_number())
    time.sleep(seconds)
    return _answer_rows([before, Row.objects.get(pk=_any_number())])


async def mixed_async(request):
    try:
        seconds = _seconds(request)
    except ValueError as error:
        return _bad_request(error)
    before = await Row.objects.aget(pk=_any_number())
    await asyncio.sleep(seconds)
    return _answer_rows([before, await Row.objects.aget(pk=_any_number())])


def cpu(request):
    return JsonResponse({"rounds": CPU_ROUNDS, "result": compute(CPU_ROUNDS)})


async def cpu_async(request):
    # On purpose without a thread: everything else on this event loop stands still meanwhile.
    return cpu(request)


def stream(request):
    def pieces():
        for number in range(1, PIECES + 1):
            time.sleep(PIECE_SECONDS)
            yield f"piece {number} of {PIECES}\n"

    return _stream(pieces())


async def stream_async(request):
    async def pieces():
        for number in range(1, PIECES + 1):
            await asyncio.sleep(PIECE_SECONDS)
            yield f"piece {number} of {PIECES}\n"

    return _stream(pieces())


def download(request):
    def chunks():
        for _chunk in range(DOWNLOAD // CHUNK):
            yield bytes(CHUNK)

    return _download(chunks())


async def download_async(request):
    async def chunks():
        for _chunk in range(DOWNLOAD // CHUNK):
            yield bytes(CHUNK)

    return _download(chunks())


def broadcast_one(request):
    return JsonResponse({"text": broadcast()}, status=HTTPStatus.CREATED)


async def broadcast_one_async(request):
    return JsonResponse({"text": await sync_to_async(broadcast)()}, status=HTTPStatus.CREATED)


def _any_number():
    return random.randint(1, ROWS)


def _answer_row(row):
    return JsonResponse({"number": row.number, "text": row.text})


def _answer_rows(rows):
    return JsonResponse({"rows": [{"number": row.number, "text": row.text} for row in rows]})


def _seconds(request):
    text = request.GET.get("seconds", "1")
    # No sign, no exponent, no infinity, and no digits of other scripts, all of which float() reads.
    if not (re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text) and float(text) <= MAX_SECONDS):
        sentence = _("seconds=%(text)s is not a number of seconds from 0 to %(most)s.")
        raise ValueError(sentence % {"text": repr(text[:20]), "most": MAX_SECONDS})
    return float(text)


def _bad_request(error):
    return JsonResponse({"error": str(error)}, status=HTTPStatus.BAD_REQUEST)


def _stream(pieces):
    # Nginx would otherwise collect the pieces.
    return StreamingHttpResponse(
        pieces,
        content_type="text/plain; charset=utf-8",
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-cache"},
    )


def _download(chunks):
    headers = {"Content-Length": str(DOWNLOAD), "Content-Disposition": 'attachment; filename="lab.bin"'}
    return StreamingHttpResponse(chunks, content_type="application/octet-stream", headers=headers)
