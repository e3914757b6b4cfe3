"""The cache in Redis: as Django's, and empty while Redis is away."""

import re
import shutil
import socket
import subprocess
import time

import pytest
from allauth.core.internal.ratelimit import cache_lock
from asgiref.sync import async_to_sync
from django.core.cache import caches
from django.test import AsyncClient, Client

from kit import cache as module
from kit.ops.doctor import services
from workshop.tests.servers import ROOT


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


@pytest.fixture
def redis(tmp_path):
    """With the users that docker/redis makes."""
    path = shutil.which("redis-server") or pytest.skip("There is no redis-server here.")
    port = free_port()
    # Before 7.2 Redis knows no client|setinfo.
    users = [
        line.replace("$password", "s3cret").replace("+client|setinfo", "+client")
        for line in (ROOT / "docker/redis").read_text().splitlines()
    ]
    configuration = tmp_path / "redis.conf"
    configuration.write_text("\n".join(line for line in users if line.startswith("user ")))
    process = subprocess.Popen(
        [path, configuration, "--port", port, "--bind", "127.0.0.1", "--save", ""], stdout=subprocess.DEVNULL
    )
    for _ in range(50):
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", int(port))):
                break
        time.sleep(0.05)
    yield port
    process.kill()
    process.wait()


def use(settings, port):
    url = f"redis://cache:s3cret@127.0.0.1:{port}/1"
    settings.CACHES = {"default": {"BACKEND": "kit.cache.RedisCache", "LOCATION": [url], "KEY_PREFIX": "cache"}}
    return caches["default"]


def test_its_user_may_do_all_that_a_cache_does(settings, redis, monkeypatch):
    monkeypatch.setattr(module, "logger", None)  # A refusal would be logged, and fail.
    cache = use(settings, redis)
    assert cache.add("a", 1)
    assert not cache.add("a", 2)
    assert cache.incr("a") == 2
    cache.set("b", "text", None)
    assert cache.touch("b", 10)
    assert cache.touch("b", None)
    assert cache.set_many({"c": 3, "d": [4]}, 60) == []
    assert cache.get_many(["a", "c", "d", "e"]) == {"a": 2, "c": 3, "d": [4]}
    assert cache.has_key("b")
    assert cache.delete("b")
    cache.delete_many(["c"])
    assert cache.clear()
    assert cache.get("a") is None
    assert [finding.status for finding in services.check_cache()] == ["ok"]


async def test_the_async_methods_work(settings, redis):
    cache = use(settings, redis)
    await cache.aset("a", 1)
    assert await cache.aget("a") == 1


def test_while_redis_is_away_it_is_empty_and_is_not_asked_each_time(settings):
    cache = use(settings, free_port())
    began = time.monotonic()
    for _ in range(100):
        assert cache.get("a", "missing") == "missing"
        assert cache.add("a", 1)
        assert cache.get_many(["a"]) == {}
        assert cache.set_many({"a": 1}) == []
        cache.set("a", 1)
        cache.delete_many(["a"])
        assert not any([cache.touch("a"), cache.delete("a"), cache.has_key("a"), cache.clear()])
        with pytest.raises(ValueError, match="not found"):
            cache.incr("a")
        with cache_lock("a-limit") as is_mine:
            assert is_mine
    assert time.monotonic() - began < 2


@pytest.fixture(params=[Client, AsyncClient], ids=["wsgi", "asgi"])
def visitors(request, settings, member, outsider):
    """Signed in, and not: what each is answered."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "pages"}}
    settings.ROOT_URLCONF = "workshop.tests.cached"
    caches["default"].clear()

    def asking(person):
        client = request.param()
        if person.user:
            client.force_login(person.user)
        return async_to_sync(client.get) if request.param is AsyncClient else client.get

    return asking(member), asking(outsider)


def test_a_page_from_the_cache_is_the_same_for_all_unless_it_varies(visitors):
    ask, ask_as_another = visitors
    assert ask("/public").content == ask_as_another("/public").content
    # The session's Vary comes too late: so says docs/product.md.
    assert ask("/greeting").content == ask_as_another("/greeting").content == b"Hello member"
    assert ask("/varied").content == b"Hello member"
    assert ask_as_another("/varied").content == b"Hello AnonymousUser"


def test_a_page_from_the_cache_has_a_nonce_that_the_policy_does_not_name(visitors):
    for ask, is_named in zip(visitors, [True, False], strict=True):
        answer = ask("/scripted")
        nonce = re.search('nonce="(.+)"', answer.content.decode())[1]
        assert (f"nonce-{nonce}" in answer["Content-Security-Policy"]) == is_named


def test_a_cookie_is_kept_with_the_page(visitors):
    ask, ask_as_another = visitors
    assert ask("/setting").cookies["seen"].value == ask_as_another("/setting").cookies["seen"].value
