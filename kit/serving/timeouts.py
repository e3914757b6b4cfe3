"""The ladder of timeouts, in seconds. nginx/ and docker-compose.yml repeat four of them; a test holds them to it.

Each step must outlast the one above it, or the wrong side gives up first and the user sees a 502 or a cut answer.
"""

# An idle connection from Nginx to a worker: Nginx must be the one that closes it. If the worker did, a request
# that Nginx had just sent down it would be lost.
NGINX_UPSTREAM_IDLE = 60
SERVER_KEEPALIVE = 75

# A worker that hangs, because something blocks its event loop, is replaced before Nginx gives up on what it was asked,
# so that the log names the culprit. A request that waits on a thread, or with await, is ended by Nginx alone.
WORKER_TIMEOUT = 30
NGINX_PROXY_READ = 60

# A client that takes nothing of its answer for this long is gone: Nginx's send_timeout, and the same without Nginx.
CLIENT_TAKES = 60

# A live connection is never silent for longer than this, so Nginx never takes it for a dead one.
LIVE_HEARTBEAT = 20
# A WebSocket that is to be closed ends within this, even if its client takes nothing more. Within WORKER_SHUTDOWN.
LIVE_CLOSE = 10

# A stop: requests under way end within the worker's own limit, then Gunicorn's, then Docker kills.
WORKER_SHUTDOWN = 20
GRACEFUL = 25
STOP_GRACE_PERIOD = 30
