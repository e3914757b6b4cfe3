"""/lab/: the page that draws the requests of a workload as bars."""

from django.conf import settings
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

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
    context = {
        "workloads": workloads,
        "chosen": CHOSEN,
        "requests": REQUESTS,
        "most_requests": MOST_REQUESTS,
        "workers": settings.WORKERS,
        "threads": settings.THREADS,
        "stock": settings.STOCK_ASGI and interface == "ASGI",
    }
    return render(request, "lab/index.html", context)
