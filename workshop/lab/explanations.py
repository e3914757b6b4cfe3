"""Why the bars of a run look as they do: by the kind of work, the interface that serves, and the kind of view."""

from django.utils.translation import gettext_lazy as _

WSGI_SYNC = ("WSGI", "sync")
WSGI_ASYNC = ("WSGI", "async")
ASGI_SYNC = ("ASGI", "sync")
ASGI_ASYNC = ("ASGI", "async")

MOMENT = {
    WSGI_SYNC: _(
        "There is nothing to wait for: a request has a thread for a moment and gives it back. The threads of a process "
        "take turns at one interpreter (the GIL), so more of them would make nothing faster."
    ),
    WSGI_ASYNC: _(
        "WSGI has no event loop, so Django makes one for each request, on a thread of its own, and throws both away. "
        "The work is the same as in the sync view, and each bar is longer by that detour."
    ),
    ASGI_SYNC: _(
        "The event loop hands the view to a thread and takes the answer back. For so little work the handing over is "
        "most of the bar."
    ),
    ASGI_ASYNC: _(
        "Middleware and view run on the event loop itself, with no thread in between. The loop answers one request "
        "after the other, each in a moment."
    ),
}
QUERIES = {
    WSGI_SYNC: _(
        "The thread asks the database and waits for its answer. Waiting releases the GIL, so the other threads of the "
        "process go on meanwhile."
    ),
    WSGI_ASYNC: _(
        "Django’s ORM is sync inside: each await sends a query to a thread and its answer back. Under WSGI that is a "
        "detour with nothing at its end, because the request’s own thread is held all the same."
    ),
    ASGI_SYNC: _(
        "The whole view runs on one thread beside the event loop: it is handed over once, however many queries it has."
    ),
    ASGI_ASYNC: _(
        "Django’s ORM is sync inside: each await hands one query to a thread and takes the answer back. For one query "
        "that hardly shows; for twenty it is done twenty times, and the sync view is the faster one."
    ),
}
WAITING = {
    WSGI_SYNC: _(
        "A request holds a thread for as long as it waits. As many wait side by side as the workers have threads; the "
        "next one begins when one of them is done. That makes the steps."
    ),
    WSGI_ASYNC: _(
        "WSGI has no event loop, so Django makes one for this request, on one more thread, and holds the request’s own "
        "thread until the view is done. The steps are those of the sync view: nothing is gained."
    ),
    ASGI_SYNC: _(
        "The view waits on a thread beside the event loop and holds it. The number of these threads is bounded: over "
        "it, requests wait their turn, and the bars make steps."
    ),
    ASGI_ASYNC: _(
        "All requests wait on one event loop, and none of them holds a thread. A thousand can wait side by side as "
        "easily as one, so each bar is as long as the wait itself."
    ),
}
MIXED = {
    WSGI_SYNC: _(
        "Query, wait, query: the thread and its database connection are held from beginning to end, also while only "
        "the upstream is waited for."
    ),
    WSGI_ASYNC: _(
        "The thread is held from beginning to end as in the sync view, and each query takes a detour over another "
        "thread: under WSGI an async view can only lose here."
    ),
    ASGI_SYNC: _(
        "The view holds its thread and its database connection from beginning to end, also while only the upstream is "
        "waited for. When all threads are taken, requests wait their turn."
    ),
    ASGI_ASYNC: _(
        "Only the two queries need a thread and a connection. While the upstream is waited for the request holds "
        "neither, so a handful of connections is enough for hundreds of waiting requests."
    ),
}
FANOUT = {
    WSGI_SYNC: _(
        "Ten waits of a tenth of a second, one after the other: a second for each request, and a thread is held for "
        "all of it."
    ),
    WSGI_ASYNC: _(
        "The ten waits happen side by side, so a request takes a tenth of a second. This is the one case in which an "
        "async view pays under WSGI too; the thread is held meanwhile."
    ),
    ASGI_SYNC: _(
        "Ten waits one after the other: a second for each request, on a thread beside the event loop. The loop can do "
        "nothing for a view that waits in turn."
    ),
    ASGI_ASYNC: _(
        "The ten waits of every request happen side by side on one event loop. A request takes a tenth of a second, "
        "however many there are."
    ),
}
COMPUTING = {
    WSGI_SYNC: _(
        "Computing holds the GIL. The threads of a process take turns at it every few milliseconds, so requests that "
        "run side by side all take longer, and the total is the sum of all. Only more processes help."
    ),
    WSGI_ASYNC: _(
        "Async changes nothing about computing: the threads take turns at the GIL as in the sync view, and the total "
        "is the sum of all. Only more processes help."
    ),
    ASGI_SYNC: _(
        "The views compute on threads that share the GIL with each other and with the event loop. The total is the sum "
        "of all, but the loop gets its turns between them and still answers others."
    ),
    ASGI_ASYNC: _(
        "The view computes on the event loop and awaits nothing, so everything else on this loop stands still: every "
        "other request, and every WebSocket. The answers come strictly one by one. Work like this belongs on a "
        "thread, or better in another process."
    ),
}
STREAMING = {
    WSGI_SYNC: _(
        "Each piece leaves as soon as it is made, so the first comes long before the last. The thread is held until "
        "the end."
    ),
    WSGI_ASYNC: _(
        "WSGI can’t pass on an async iterator: Django collects all of it first. The first piece and the last come "
        "together, and memory holds the whole answer."
    ),
    ASGI_SYNC: _(
        "Each piece is made on a thread and leaves as soon as it is made; this stream sleeps there between two. "
        "Django’s own handler would collect all of it first, in memory."
    ),
    ASGI_ASYNC: _(
        "Each piece leaves as soon as it is made. Between two pieces the request holds no thread, and memory never has "
        "more than one of them."
    ),
}
PUBLISHING = {
    WSGI_SYNC: _(
        "Each request saves a row and its place in the order of changes, in one transaction. Such transactions commit "
        "one after the other, so that no open page misses one: the bars queue up."
    ),
    WSGI_ASYNC: _(
        "Saving is sync work, which the async view only waits for, and under WSGI the request’s own thread is held "
        "meanwhile. The transactions commit one after the other, as with the sync view."
    ),
    ASGI_SYNC: _(
        "Each request saves on a thread beside the event loop; the transactions commit one after the other. Then every "
        "process reads the change once and sends the same text to all of its sockets."
    ),
    ASGI_ASYNC: _(
        "Saving is sync work: it is handed to a thread, and the event loop goes on until it is done. The transactions "
        "commit one after the other, so the bars queue up as with the sync view."
    ),
}
