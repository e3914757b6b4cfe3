from uvicorn_worker import UvicornWorker

from . import timeouts


class Worker(UvicornWorker):
    """UvicornWorker that stops within Gunicorn's own limit. By itself it ignores Gunicorn's graceful_timeout, so
    one slow request would hold the old worker until Gunicorn kills it."""

    CONFIG_KWARGS = {
        **UvicornWorker.CONFIG_KWARGS,
        "timeout_graceful_shutdown": timeouts.WORKER_SHUTDOWN,
        # Channels' router raises on lifespan, and Django has no use for it.
        "lifespan": "off",
        "server_header": False,
        "ws_max_size": 64 * 1024,
        # Each socket would keep a zlib window of some 300 KB for messages of a few hundred bytes.
        "ws_per_message_deflate": False,
        "ws_ping_interval": timeouts.LIVE_HEARTBEAT,
    }
