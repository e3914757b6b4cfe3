"""The probe's addresses, and /inside: how much of what comes and goes with readers this process holds."""

import asyncio
import gc
import sys
from collections import Counter

from django.http import JsonResponse
from django.urls import path

from workshop.probe.urls import urlpatterns as probe

COUNTED = ("Hub", "Reader", "WebSocket")


async def inside(request):
    collections = [each["collections"] for each in gc.get_stats()]
    gc.collect()
    found = Counter(type(each).__name__ for each in gc.get_objects())
    held = {name: found[name] for name in COUNTED}
    return JsonResponse(
        {**held, "tasks": len(asyncio.all_tasks()), "blocks": sys.getallocatedblocks(), "collections": collections}
    )


urlpatterns = [path("inside", inside), *probe]
