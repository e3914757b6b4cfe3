"""THE table of sides: every way of serving that is compared. All but the limits serve the same project.

A default run measures the workloads that a side names as `quick`; with FULL=1 all that it can answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kit.serving import cgroup

from .workloads import Workload

# Started as in production. But no worker is replaced while it is being measured: with the short runs here, that would
# fall into one of them by chance.
WISHEASY = "python -m kit.serving --max-requests 0"
# /dev/null instead of the project's gunicorn.conf.py, which Gunicorn would find by itself.
GUNICORN = "gunicorn --config /dev/null --bind 127.0.0.1:{port} --workers {workers}"
GTHREAD = f"{GUNICORN} --worker-class gthread --threads 4"


@dataclass(frozen=True)
class Side:
    name: str
    label: str
    command: str
    """Words of a command line. {port}, {workers} and {environment}, a folder, are filled in."""
    interface: str
    """wsgi or asgi: which views it is asked for. A WSGI server would run an async view on a loop for each request."""
    quick: tuple[str, ...]
    kind: str = "other"
    """wisheasy, other, or limit: a server with no Django behind it."""
    workers: int = 2
    variables: Mapping[str, str] = field(default_factory=dict)
    live: Mapping[str, str] | None = None
    """Variables of a second process, the same command on another port, that answers /live/."""
    own_environment: bool = False
    """Is its server one of workshop/bench/requirements.in?"""
    nginx: bool = False
    """Is it asked through Nginx?"""

    @property
    def is_a_count(self) -> bool:
        """Is it one of those that differ from another in nothing but the number of workers?"""
        return self.name.rpartition("-")[2].isdigit()

    def suits(self, workload: Workload) -> bool:
        if self.kind == "limit":
            return workload.name == f"plain/{'sync' if self.interface == 'wsgi' else 'async'}"
        if workload.client in ("idle", "broadcast"):
            return self.interface == "asgi" or self.live is not None
        return self.interface == "asgi" or workload.view == "sync"


WSGI = Side(
    "wsgi",
    "wisheasy, wsgi",
    WISHEASY,
    "wsgi",
    quick=("plain/sync", "query/sync", "upstream/sync"),
    kind="wisheasy",
    variables={"SERVER_MODE": "wsgi"},
)
ASGI = Side(
    "asgi",
    "wisheasy, asgi",
    WISHEASY,
    "asgi",
    quick=(
        *("plain/sync", "plain/async", "query/sync", "query/async", "queries/sync", "queries/async", "upstream/async"),
        *("hub", "channels", "upstream-1000", "crowd/sync", "crowd/async"),
    ),
    kind="wisheasy",
    variables={"SERVER_MODE": "asgi"},
)
STOCK = replace(
    ASGI,
    name="stock",
    label="stock Django, same worker",
    quick=("plain/sync", "plain/async", "query/sync", "query/async", "crowd/sync"),
    kind="other",
    variables={"SERVER_MODE": "asgi", "STOCK_ASGI": "1", "DJANGO_SETTINGS_MODULE": "workshop.bench.defaults"},
)
DEFAULTS = Side(
    "gunicorn",
    "Gunicorn's defaults",
    f"{GUNICORN} wisheasy.wsgi:application",
    "wsgi",
    quick=("plain/sync", "query/sync"),
    workers=1,
    variables={"SERVER_MODE": "wsgi"},
)


def _other(name: str, label: str, command: str, interface: str, **more) -> Side:
    view = "sync" if interface == "wsgi" else "async"
    return Side(
        name,
        label,
        command,
        interface,
        quick=(f"plain/{view}", f"query/{view}"),
        variables={"SERVER_MODE": interface},
        **{"own_environment": True, **more},
    )


def _with_workers(side: Side, count: int) -> Side:
    view = "sync" if side.interface == "wsgi" else "async"
    idle = ("idle",) if side.interface == "asgi" and count == 1 else ()
    return replace(
        side,
        name=f"{side.name}-{count}",
        label=f"{side.label}, {count} worker{'s' if count > 1 else ''}",
        quick=(f"query/{view}", *idle),
        workers=count,
    )


CORES = max(1, int(cgroup.cpus()))

SIDES = [
    WSGI,
    ASGI,
    replace(
        WSGI,
        name="hybrid",
        label="wisheasy, hybrid",
        variables={"SERVER_MODE": "hybrid", "SERVER_ROLE": "pages"},
        live={"SERVER_MODE": "hybrid", "SERVER_ROLE": "live"},
        quick=("query/sync",),
    ),
    replace(
        ASGI,
        name="asgi-bound",
        label="wisheasy, asgi, 4 threads",
        variables={**ASGI.variables, "WEB_THREADS": "4"},
        quick=("mixed-200",),
    ),
    # How many workers are best here, for the advice at the end.
    *(_with_workers(side, count) for side in (WSGI, ASGI) for count in sorted({1, CORES, 2 * CORES} - {2})),
    DEFAULTS,
    STOCK,
    replace(
        STOCK,
        name="stock-pool",
        label="stock Django with a pool (STOCK_ASGI=1)",
        quick=("query/sync",),
        variables={"SERVER_MODE": "asgi", "STOCK_ASGI": "1"},
    ),
    Side(
        "cookiecutter",
        "like cookiecutter-django",
        f"{GUNICORN} --worker-class uvicorn_worker.UvicornWorker workshop.lab.asgi:application",
        "asgi",
        quick=("plain/async", "query/sync"),
        workers=4,
        variables={"SERVER_MODE": "asgi", "STOCK_ASGI": "1", "DJANGO_SETTINGS_MODULE": "workshop.bench.cookiecutter"},
    ),
    _other(
        "uvicorn",
        "uvicorn --workers",
        "uvicorn --host 127.0.0.1 --port {port} --workers {workers} --lifespan off --no-access-log"
        " workshop.lab.asgi:application",
        "asgi",
        own_environment=False,
    ),
    _other(
        "gunicorn-asgi",
        "Gunicorn's asgi worker",
        f"{GUNICORN} --worker-class asgi --asgi-lifespan off workshop.lab.asgi:application",
        "asgi",
        own_environment=False,
    ),
    _other(
        "daphne",
        "Daphne (has one process)",
        "daphne --bind 127.0.0.1 --port {port} --verbosity 0 workshop.lab.asgi:application",
        "asgi",
        workers=1,
    ),
    _other(
        "hypercorn",
        "Hypercorn",
        "hypercorn --bind 127.0.0.1:{port} --workers {workers} --worker-class uvloop workshop.lab.asgi:application",
        "asgi",
    ),
    _other(
        "granian",
        "Granian, asgi",
        "granian --interface asginl --host 127.0.0.1 --port {port} --workers {workers} --no-access-log"
        " workshop.lab.asgi:application",
        "asgi",
    ),
    _other(
        "granian-wsgi",
        "Granian, wsgi",
        "granian --interface wsgi --host 127.0.0.1 --port {port} --workers {workers} --blocking-threads 4"
        " --no-access-log wisheasy.wsgi:application",
        "wsgi",
    ),
    _other(
        "uwsgi",
        "uWSGI",
        "uwsgi --http 127.0.0.1:{port} --http-keepalive=75 --master --processes {workers} --threads 4"
        " --home {environment} --module wisheasy.wsgi --die-on-term --disable-logging --need-app",
        "wsgi",
    ),
    replace(WSGI, name="nginx-wsgi", label="Nginx, wisheasy wsgi", quick=("query/sync",), nginx=True),
    replace(DEFAULTS, name="nginx-gunicorn", label="Nginx, Gunicorn's defaults", quick=("query/sync",), nginx=True),
    Side(
        "bare-asgi",
        "limit: no Django, asgi",
        f"{GUNICORN} --worker-class uvicorn_worker.UvicornWorker workshop.bench.bare:asgi",
        "asgi",
        quick=("plain/async",),
        kind="limit",
    ),
    Side(
        "bare-wsgi",
        "limit: no Django, wsgi",
        f"{GTHREAD} workshop.bench.bare:wsgi",
        "wsgi",
        quick=("plain/sync",),
        kind="limit",
    ),
]
BY_NAME = {side.name: side for side in SIDES}
