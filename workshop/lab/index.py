"""/lab/: six steps, and below them any workload, whose requests are drawn as bars."""

from django.conf import settings
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from .steps import STEPS
from .workloads import WORKLOADS

CHOSEN = "upstream"
REQUESTS = 12
MOST_REQUESTS = 50


@require_safe
def index(request):
    interface = settings.SERVER_INTERFACE
    workloads = [
        {
            "name": workload.name,
            "description": workload.description,
            "method": workload.method,
            "kinds": {
                kind: {
                    "address": reverse(f"lab:{workload.name}-{kind}"),
                    "why": workload.why[interface, kind],
                }
                for kind in workload.views
            },
        }
        for workload in WORKLOADS
    ]
    # Not settings alone: who opened the page as 127.0.0.1 asks there.
    port = getattr(settings, "LAB_LIVE_PORT", None)
    live = f"http://{request.get_host().partition(':')[0]}:{port}" if port else ""
    steps = [step.for_page(live) for step in STEPS]
    context = {
        "steps": steps,
        "rounds": [step["rounds"] for step in steps],
        "workloads": workloads,
        "chosen": CHOSEN,
        "requests": REQUESTS,
        "most_requests": MOST_REQUESTS,
        "workers": settings.WORKERS,
        "threads": settings.THREADS,
        "stock": settings.STOCK_ASGI and interface == "ASGI",
    }
    return render(request, "lab/index.html", context)
