"""Liveness and readiness probes."""

from contextlib import suppress

import redis
from django.conf import settings
from django.core import signing
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpResponse, HttpResponseNotAllowed, JsonResponse

LIVE = "/healthz/live"
READY = "/healthz/ready"
# A request with this header proves that the sender knows SECRET_KEY; the answer describes the request as received.
PROOF_HEADER = "X-Doctor"
# Seconds that a proof is valid.
PROOF_AGE = 60
# Seconds to wait for Redis. Probes are repeated, so a short timeout will do.
REDIS_TIMEOUT = 2


def live(request):
    """200 as long as this process can answer at all, without any I/O."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    return HttpResponse("alive\n", content_type="text/plain", headers={"Cache-Control": "no-store"})


def ready(request):
    """200 or 503, with JSON: `status` (ready, degraded or unavailable); `mode`; `slot` (blue or green in the stack,
    else null); `revision` (the image's commit, or null); `dependencies`, each "ok" or an error.

    503 if the database is unavailable or not migrated. Without Redis, pages only update later (kit.live polls the
    database every few seconds), so the process stays in service and reports that it is degraded.

    A sender that knows SECRET_KEY (`proof`) also gets `request`: the scheme, client and host as Django sees them.
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
    answer = {
        "status": status, "mode": settings.SERVER_MODE, "slot": settings.SLOT,
        "revision": settings.REVISION, "dependencies": dependencies,
    }  # fmt: skip
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
    # A wrapped engine may raise anything, and whatever it is, no request can be answered.
    except Exception as error:
        with suppress(Exception):
            connection.close()
        # Only the error's type: its text names hosts and users, and anyone may ask.
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
