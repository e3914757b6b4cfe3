"""What the steps of /lab/ send requests to, beside the workloads."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from django.http import JsonResponse
from django.urls import path
from django.views.decorators.http import require_safe

from . import computing, views
from .workloads import signed

# Long beside the start of a process: about 0.4 s where the workload takes 50 ms.
ROUNDS = 8 * views.CPU_ROUNDS
# Seconds.
BLOCKED = 1
# All the threads that a server with a single one has.
ALONE = ThreadPoolExecutor(1, thread_name_prefix="alone")


def alone(request):
    # Signed over there: the work begins when the thread is free.
    return ALONE.submit(signed(views.upstream), request).result()


def thread(request):
    return JsonResponse({"result": computing.compute(ROUNDS)})


def process(request):
    # Without the packages of the project it starts within some 20 ms.
    command = [sys.executable, "-I", "-S", computing.__file__, str(ROUNDS)]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return JsonResponse(answer, headers={"Lab-Process": answer["process"], "Lab-Thread": "MainThread"})


async def block(request):
    time.sleep(BLOCKED)  # noqa: ASYNC251  (the mistake that the step is about)
    return JsonResponse({"seconds": BLOCKED})


urlpatterns = [
    path("steps/alone", require_safe(alone), name="alone"),
    path("steps/thread", require_safe(signed(thread)), name="thread"),
    path("steps/process", require_safe(signed(process)), name="process"),
]
# Below /live/, which Nginx leads to the event loop where there is one.
live_urlpatterns = [
    path("wait", require_safe(signed(views.upstream_async)), name="wait"),
    path("block", require_safe(signed(block)), name="block"),
]
