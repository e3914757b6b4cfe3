"""The six steps of /lab/: what each says, what it sends, and what to see of it in the mode that serves."""

import math
from dataclasses import dataclass

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from kit.serving import cgroup

MODES = ("wsgi", "asgi", "hybrid")


@dataclass(frozen=True)
class Send:
    """A request of a step."""

    view: str
    seconds: float | None = None
    """How long the view waits, where it does."""
    after: int = 0
    """Milliseconds after the button was pressed."""
    label: str = ""


@dataclass(frozen=True)
class Step:
    title: str
    text: str
    rounds: tuple[list[Send], ...]
    """Each is sent when the one before has ended, and has six requests at most: a browser has six connections."""
    see: dict[str, str]
    """What to see, by mode."""

    def for_page(self, live: str) -> dict:
        """`live`: the origin of the event loop, where it is not that of the page."""
        known = {"threads": settings.THREADS, "processors": math.ceil(cgroup.cpus())}
        return {
            "title": self.title,
            "text": self.text,
            "see": str(self.see[settings.SERVER_MODE]) % known,
            "rounds": [[_for_page(send, live) for send in sent] for sent in self.rounds],
        }


def _for_page(send, live):
    origin = live if send.view.startswith("lab-live:") else ""
    query = f"?seconds={send.seconds}" if send.seconds else ""
    return {"address": f"{origin}{reverse(send.view)}{query}", "after": send.after, "label": str(send.label)}


PAGE, LIVE = _("page"), _("live")
AWAITS, BLOCKS = _("awaits"), _("blocks")
THREAD, PROCESS = _("thread"), _("process")

STEPS = (
    Step(
        _("One waits for one"),
        _(
            "A thread serves one request at a time. While that request waits for a database or another service, the "
            "thread waits too. Here six requests that wait 0.3 seconds each share a single thread."
        ),
        ([Send("lab:alone", 0.3)] * 6,),
        dict.fromkeys(
            MODES,
            _(
                "Each solid bar begins where another one ends, so the last visitor waits six times as long as the "
                "first. It is the same in every mode: this step leaves all other threads of the server idle."
            ),
        ),
    ),
    Step(
        _("Threads wait side by side"),
        _(
            "With several threads, several requests wait at the same time, for waiting takes no computing. When every "
            "thread is taken, the next request stands in line. Here six requests wait half a second each, in a sync "
            "view."
        ),
        ([Send("lab:upstream-sync", 0.5)] * 6,),
        {
            "asgi": _(
                "Sync views run on %(threads)s threads beside the event loop: each solid bar has one of its own, and "
                "the line begins when all are taken. wsgi mode has four threads, so two of the six stand in line "
                "there."
            ),
        }
        | dict.fromkeys(
            ("wsgi", "hybrid"),
            _(
                "At most %(threads)s bars are solid at the same time, each on a thread of its own: its letter and "
                "colour. The others stand in line until a thread is free."
            ),
        ),
    ),
    Step(
        _("An event loop waits for many"),
        _(
            "An event loop is one thread that never waits for a single request. At each await it puts the request "
            "aside and turns to the next one, so one thread holds thousands of them. Here the same six wait in an "
            "async view."
        ),
        ([Send("lab-live:wait", 0.5)] * 6,),
        {
            "wsgi": _(
                "WSGI has no event loop. Django makes one for each request, which holds a thread of the server all "
                "the same: you see the line of step 2. In asgi and hybrid mode all six wait on one thread."
            ),
            "asgi": _("Six solid bars and one letter: a single thread waits for all of them, and none stands in line."),
            "hybrid": _(
                "Six solid bars and one letter: these requests go below /live/, to the process with the event loop, "
                "and none stands in line as those of the pages do in step 2."
            ),
        },
    ),
    Step(
        _("A blocked loop"),
        _(
            "A loop turns to the next request only at an await. A sync call in an async view, such as time.sleep(), "
            "requests.get() or a long computation, holds up everything on that thread. Here one view blocks for a "
            "second while three others await 0.3 seconds."
        ),
        (
            [
                Send("lab-live:wait", 0.3, label=AWAITS),
                Send("lab-live:block", after=100, label=BLOCKS),
                Send("lab-live:wait", 0.3, after=200, label=AWAITS),
                Send("lab-live:wait", 0.3, after=300, label=AWAITS),
            ],
        ),
        {
            "wsgi": _(
                "Nobody is held up: here each request has a thread and a loop of its own, and the one that blocks "
                "stops only itself. In asgi mode it stops all of them, in hybrid mode those below /live/."
            ),
            "asgi": _(
                "The view that blocks stretches the bar above it and keeps the two below in line, and every other "
                "request and WebSocket of this process too. Such a call belongs in a sync view or in sync_to_async()."
            ),
            "hybrid": _(
                "The view that blocks stretches the bar above it and keeps the two below in line, like everything "
                "below /live/. Pages go on, because another process serves them."
            ),
        },
    ),
    Step(
        _("Computing and the GIL"),
        _(
            "Only one thread of a process runs Python at a time: the one that holds the GIL, a lock. More threads make "
            "computing no faster, but each process has a GIL of its own. Here four requests compute on threads, and "
            "then four in processes."
        ),
        ([Send("lab:thread", label=THREAD)] * 4, [Send("lab:process", label=PROCESS)] * 4),
        dict.fromkeys(
            MODES,
            _(
                "The first four take turns and end late, together. The other four compute side by side on the "
                "processors of this machine (%(processors)s), and end sooner if these have nothing else to do. It is "
                "the same in every mode: more workers help, more threads do not."
            ),
        ),
    ),
    Step(
        _("Both together"),
        _(
            "Threads suit pages: any library may block there. Connections that stay open for hours need an event "
            "loop. Here four pages wait a second in sync views, and two live requests come in between."
        ),
        (
            [Send("lab:upstream-sync", 1, label=PAGE)] * 4
            + [Send("lab-live:wait", 0.3, after=after, label=LIVE) for after in (150, 300)],
        ),
        {
            "wsgi": _(
                "The live requests need one of the %(threads)s threads as well, and stand in line while pages hold "
                "them. In asgi mode they pass on the loop, in hybrid mode in a process of their own."
            ),
            "asgi": _(
                "The live requests pass on the event loop, while the pages wait on threads beside it. It is one "
                "process, so a blocked loop holds up both; in hybrid mode each has its own."
            ),
            "hybrid": _(
                "The pages wait on the threads of one process, and the live requests pass on the event loop of "
                "another. Neither can hold up the other, whatever it does."
            ),
        },
    ),
)
