"""The table of workloads: the addresses below /lab/ and what the page says of them are made from it."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from . import explanations, views


@dataclass(frozen=True)
class Workload:
    name: str
    sync: Callable
    asynchronous: Callable
    description: str
    """One line, translated when it is shown."""
    why: dict[tuple[str, str], str]
    """What a run looks like and why, by interface (WSGI, ASGI) and kind (sync, async)."""
    method: str = "GET"

    @property
    def views(self) -> dict[str, Callable]:
        """The view of each kind, as it is served."""
        only = require_POST if self.method == "POST" else require_safe
        return {"sync": only(signed(self.sync)), "async": only(signed(self.asynchronous))}


def signed(view):
    """`view` with headers on its answer that say where it ran and for how long: before that, it waited its turn."""
    if iscoroutinefunction(view):

        @wraps(view)
        async def signed(request):
            begin = time.perf_counter()
            return _sign(await view(request), begin)
    else:

        @wraps(view)
        def signed(request):
            begin = time.perf_counter()
            return _sign(view(request), begin)

    return signed


def _sign(response, begin):
    # Unless it ran elsewhere, as the view knows then.
    response.headers.setdefault("Lab-Process", str(os.getpid()))
    response.headers.setdefault("Lab-Thread", threading.current_thread().name)
    for name, value in getattr(settings, "LAB_HEADERS", {}).items():
        response.headers[name] = value
    if not response.streaming:
        # A streaming answer has only begun.
        response.headers["Server-Timing"] = f"view;dur={(time.perf_counter() - begin) * 1000:.1f}"
    return response


WORKLOADS = (
    Workload("plain", views.plain, views.plain_async, _("A few bytes of text"), explanations.MOMENT),
    Workload("page", views.page, views.page_async, _("A page of 10 KB from a template"), explanations.MOMENT),
    Workload("query", views.query, views.query_async, _("One row from the database"), explanations.QUERIES),
    Workload("queries", views.queries, views.queries_async, _("Five rows, each with a query"), explanations.QUERIES),
    Workload("upstream", views.upstream, views.upstream_async, _("A wait of one second"), explanations.WAITING),
    Workload("fanout", views.fanout, views.fanout_async, _("Ten waits of 0.1 seconds"), explanations.FANOUT),
    Workload("mixed", views.mixed, views.mixed_async, _("A query, a wait, a query"), explanations.MIXED),
    Workload("cpu", views.cpu, views.cpu_async, _("About 50 ms of computing"), explanations.COMPUTING),
    Workload("stream", views.stream, views.stream_async, _("Twenty pieces in a second"), explanations.STREAMING),
    Workload("download", views.download, views.download_async, _("A file of 20 MB"), explanations.STREAMING),
    Workload(
        "broadcast",
        views.broadcast_one,
        views.broadcast_one_async,
        _("A change for every open page"),
        explanations.PUBLISHING,
        method="POST",
    ),
)
