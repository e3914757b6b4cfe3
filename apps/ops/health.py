"""Is this process alive, and is it ready to be sent requests?"""

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpResponse, HttpResponseNotAllowed, JsonResponse

LIVE = "/healthz/live"
READY = "/healthz/ready"
# Seconds to wait for Redis: a probe is repeated, so it need not be patient.
REDIS_TIMEOUT = 2


def live(request):
    """200 as long as this process can answer at all: no input, no output."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    return HttpResponse("alive\n", content_type="text/plain", headers={"Cache-Control": "no-store"})


def ready(request):
    """200 or 503, and JSON: `status` ready, degraded or unavailable; `mode`; `slot`, in the stack blue or green, else
    null; `dependencies`, each "ok" or why not.

    Without the database nothing works: 503. Without Redis pages are only later to show a change (apps.live asks the
    database every few seconds), so the process stays in service and says that it is degraded.
    """
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    dependencies = {"database": _database()}
    if settings.REDIS_URL:
        dependencies["redis"] = _redis()
    if dependencies["database"] != "ok":
        status = "unavailable"
    elif any(state != "ok" for state in dependencies.values()):
        status = "degraded"
    else:
        status = "ready"
    return JsonResponse(
        {"status": status, "mode": settings.SERVER_MODE, "slot": settings.SLOT, "dependencies": dependencies},
        status=503 if status == "unavailable" else 200,
        headers={"Cache-Control": "no-store"},
    )


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError as error:
        # Only the kind of error: its text names hosts and users, and anybody may ask.
        return f"unreachable ({type(error).__name__})"
    finally:
        connection.close_if_unusable_or_obsolete()
    return "ok"


def _redis() -> str:
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=REDIS_TIMEOUT, socket_timeout=REDIS_TIMEOUT
        ) as client:
            client.ping()
    except redis.RedisError as error:
        return f"unreachable ({type(error).__name__})"
    return "ok"
