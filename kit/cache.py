"""Django's cache in Redis, except that it acts as an empty cache while Redis is unavailable."""

import logging
import re
import time

import redis
from django.core.cache.backends import redis as stock
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

# Seconds to skip Redis after a failure: otherwise a page with many cache calls waits for each.
LEFT_ALONE = 5
# Also refusals: a Redis that has not restarted since an update doesn't know the cache's user yet.
AWAY = (
    redis.ConnectionError, redis.TimeoutError, redis.exceptions.NoPermissionError, redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
)  # fmt: skip


class _Server:
    """State shared by all threads and requests of this process: under ASGI, Django makes a client for each request."""

    def __init__(self):
        self.pools = {}
        self.left_alone_until = 0.0
        self.is_away = False


_servers = {}


def _missing(key, delta):
    raise ValueError(f"Key '{key}' not found.")


def _or(ask_redis, missed):
    def ask(self, *arguments):
        server = self.server
        if time.monotonic() < server.left_alone_until:
            return missed(*arguments)
        try:
            answer = ask_redis(self, *arguments)
        except AWAY as error:
            server.left_alone_until = time.monotonic() + LEFT_ALONE
            if not server.is_away:
                server.is_away = True
                logger.warning("The cache is unavailable, and acts as empty: %s", error)
            return missed(*arguments)
        if server.is_away:
            server.is_away = False
            logger.warning("The cache is available again.")
        return answer

    return ask


def _clear(self, pattern):
    client = self.get_client(write=True)
    for key in client.scan_iter(pattern, count=1000):
        client.unlink(key)
    return True


class Client(stock.RedisCacheClient):
    def __init__(self, servers, **options):
        options = {
            "socket_connect_timeout": 0.5,
            "socket_timeout": 0.5,
            # One immediate retry: the connection may be from before a restart of Redis.
            "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            **options,
        }
        super().__init__(servers, **options)
        self.server = _servers.setdefault(tuple(servers), _Server())
        self._pools = self.server.pools

    # Without Redis, the return values of Django's dummy cache.
    add = _or(stock.RedisCacheClient.add, lambda key, value, timeout: True)
    get = _or(stock.RedisCacheClient.get, lambda key, default: default)
    set = _or(stock.RedisCacheClient.set, lambda key, value, timeout: None)
    touch = _or(stock.RedisCacheClient.touch, lambda key, timeout: False)
    delete = _or(stock.RedisCacheClient.delete, lambda key: False)
    get_many = _or(stock.RedisCacheClient.get_many, lambda keys: {})
    has_key = _or(stock.RedisCacheClient.has_key, lambda key: False)
    incr = _or(stock.RedisCacheClient.incr, _missing)
    set_many = _or(stock.RedisCacheClient.set_many, lambda data, timeout: None)
    delete_many = _or(stock.RedisCacheClient.delete_many, lambda keys: None)
    clear = _or(_clear, lambda pattern: False)


class RedisCache(stock.RedisCache):
    def __init__(self, server, params):
        super().__init__(server, params)
        self._class = Client

    def clear(self):
        """Delete keys that begin with KEY_PREFIX only: the Redis database may hold other data."""
        return self._cache.clear(re.sub(r"([\[\]*?\\])", r"\\\1", self.key_prefix) + ":*")
