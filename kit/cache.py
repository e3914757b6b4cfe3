"""Django's cache in Redis, for which a Redis that is away is an empty cache and no failure."""

import logging
import re
import time

import redis
from django.core.cache.backends import redis as stock
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

# Seconds for which Redis is not asked again after it failed: a page that asks often would wait for each.
LEFT_ALONE = 5
# Refusals too: a Redis that was not restarted since an update does not know the user yet.
AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
)


class _Server:
    """What all threads and requests of this process share: Django makes a client for each request under ASGI."""

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
                logger.warning("The cache is away, and counts as empty meanwhile: %s", error)
            return missed(*arguments)
        if server.is_away:
            server.is_away = False
            logger.warning("The cache is back.")
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
            # Once and at once: the connection may be from before a restart of Redis.
            "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            **options,
        }
        super().__init__(servers, **options)
        self.server = _servers.setdefault(tuple(servers), _Server())
        self._pools = self.server.pools

    # As Django's dummy cache answers.
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
        """What begins with KEY_PREFIX. Not all there is: something else may live in that database of Redis."""
        return self._cache.clear(re.sub(r"([\[\]*?\\])", r"\\\1", self.key_prefix) + ":*")
