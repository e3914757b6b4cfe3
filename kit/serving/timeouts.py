"""The ladder of timeouts, in seconds. nginx/ and docker-compose.yml repeat four of them, as a test checks.

Each must be longer than the one above it, or the wrong side gives up first and visitors see a 502 or a cut response.
"""

# An idle connection from Nginx to a worker: Nginx must close it. If the worker did, a request already on its way would
# be lost.
NGINX_UPSTREAM_IDLE = 60
SERVER_KEEPALIVE = 75

# A worker whose event loop is blocked is replaced before Nginx gives up, so that the log names the cause. Only Nginx
# ends a request that waits on a thread or with await.
WORKER_TIMEOUT = 30
NGINX_PROXY_READ = 60

# A client that reads none of its response for this long is gone: Nginx's send_timeout, and the same without Nginx.
CLIENT_TAKES = 60

# A live connection is never silent for longer than this, so that Nginx doesn't close it as idle.
LIVE_HEARTBEAT = 20
# A WebSocket being closed ends within this, even if its client reads nothing more. Less than WORKER_SHUTDOWN.
LIVE_CLOSE = 10

# On a stop, requests end within the worker's limit, then within Gunicorn's; then Docker kills.
WORKER_SHUTDOWN = 20
GRACEFUL = 25
STOP_GRACE_PERIOD = 30
