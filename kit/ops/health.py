"""Is this process alive, and is it ready to be sent requests?"""

from contextlib import suppress

import redis
from django.conf import settings
from django.core import signing
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpResponse, HttpResponseNotAllowed, JsonResponse

LIVE = "/healthz/live"
READY = "/healthz/ready"
# A request with this header proves that whoever sends it knows SECRET_KEY, and is told how it has arrived here.
PROOF_HEADER = "X-Doctor"
# Seconds for which a proof is one.
PROOF_AGE = 60
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

    Without the database, or its tables, nothing works: 503. Without Redis pages are only later to show a change
    (kit.live asks the database every few seconds), so the process stays in service and says that it is degraded.

    To whoever proves to know SECRET_KEY (`proof`): also `request`, the scheme, client and host as Django sees them.
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
    answer = {"status": status, "mode": settings.SERVER_MODE, "slot": settings.SLOT, "dependencies": dependencies}
    if _is_proven(request):
        answer["request"] = {
            "scheme": request.scheme,
            "client": request.META.get("REMOTE_ADDR"),
            "host": request.META.get("HTTP_HOST"),
        }
    return JsonResponse(
        answer,
        status=503 if status == "unavailable" else 200,
        headers={"Cache-Control": "no-store"},
    )


def proof() -> str:
    """The value of PROOF_HEADER."""
    return _signer().sign("doctor")


def _is_proven(request) -> bool:
    try:
        _signer().unsign(request.headers.get(PROOF_HEADER, ""), max_age=PROOF_AGE)
    except signing.BadSignature:
        return False
    return True


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(salt="kit.ops.health")


def _database() -> str:
    try:
        is_migrated = MigrationRecorder(connection).has_table()
        connection.close_if_unusable_or_obsolete()
    # Of a wrapped engine it may be anything, and whatever it is, no request can be answered.
    except Exception as error:
        with suppress(Exception):
            connection.close()
        # Only the kind of error: its text names hosts and users, and anybody may ask.
        return f"unreachable ({type(error).__name__})"
    return "ok" if is_migrated else "not migrated (manage.py migrate_once)"


def _redis() -> str:
    try:
        with redis_client() as client:
            client.ping()
    except redis.AuthenticationError:
        return "unreachable (AuthenticationError): Redis does not know the user or the password in REDIS_URL"
    except redis.RedisError as error:
        return f"unreachable ({type(error).__name__})"
    return "ok"


def redis_client(url: str = "") -> redis.Redis:
    return redis.Redis.from_url(
        url or settings.REDIS_URL, socket_connect_timeout=REDIS_TIMEOUT, socket_timeout=REDIS_TIMEOUT
    )
