"""Each system check finds what it is for, and is silent otherwise."""

from types import ModuleType

import pytest
from channels.auth import AuthMiddlewareStack
from channels.consumer import AsyncConsumer
from channels.routing import URLRouter
from django.conf import settings
from django.core.checks.registry import registry
from django.urls import include, path, re_path

from kit import serving
from kit.ops import checks
from kit.ops.checks import NO_SERVER
from kit.serving.modes import MODES


class SyncOnly:
    async_capable = False


class ForBoth:
    async_capable = True


HTTPS = {"SITE_URL": "https://www.example.com", "ALLOWED_HOSTS": ["www.example.com"]}
HTTP = {"SITE_URL": "http://localhost:8000", "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"]}
POSTGRESQL = {"ENGINE": "django.db.backends.postgresql", "NAME": "d"}
POOL = {"pool": {"min_size": 1}}
HOST_COOKIE = {"SESSION_COOKIE_NAME": "__Host-sessionid", "SESSION_COOKIE_SECURE": True}
LOCMEM = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
REDIS = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://localhost"}}
IN_CACHE = "django.contrib.sessions.backends.cache"
UNDER_ASGI = {"SERVER_INTERFACE": "ASGI"}
HERE = "workshop.tests.ops.test_checks"
POLICY = {"script-src": ["'self'"]}


async def application(scope, receive, send):
    pass


class Consumer(AsyncConsumer):
    pass


def own_websockets(*patterns):
    urls = ModuleType("urls")
    urls.websocket_urlpatterns = patterns
    return {"ROOT_URLCONF": urls}


FOUND = {
    "shared-layer": (checks.check_shared_channel_layer, {"PROCESSES": 2, "REDIS_URL": None}, "ops.E001"),
    "budget": (
        checks.check_connection_budget,
        {"DATABASES": {"default": POSTGRESQL}, "DATABASE_CONNECTIONS": 91, "DATABASE_MAX_CONNECTIONS": 100},
        "ops.E002",
    ),
    "budget-of-a-wrapped-engine": (
        checks.check_connection_budget,
        {
            "DATABASES": {"default": {**POSTGRESQL, "ENGINE": "workshop.tests.ops.around_postgres"}},
            "DATABASE_CONNECTIONS": 91,
            "DATABASE_MAX_CONNECTIONS": 100,
        },
        "ops.E002",
    ),
    "debug": (checks.check_debug, {**HTTPS, "DEBUG": True}, "ops.E003"),
    "secure-session-over-http": (checks.check_https_only_settings, {**HTTP, "SESSION_COOKIE_SECURE": True}, "ops.E004"),
    "secure-csrf-over-http": (checks.check_https_only_settings, {**HTTP, "CSRF_COOKIE_SECURE": True}, "ops.E004"),
    "redirect-over-http": (checks.check_https_only_settings, {**HTTP, "SECURE_SSL_REDIRECT": True}, "ops.E004"),
    "prefix-with-domain": (
        checks.check_cookie_prefixes, {**HOST_COOKIE, "SESSION_COOKIE_DOMAIN": ".example.com"}, "ops.E005",
    ),
    "prefix-with-path": (checks.check_cookie_prefixes, {**HOST_COOKIE, "SESSION_COOKIE_PATH": "/shop"}, "ops.E005"),
    "prefix-not-secure": (
        checks.check_cookie_prefixes, {"CSRF_COOKIE_NAME": "__Secure-csrf", "CSRF_COOKIE_SECURE": False}, "ops.E005",
    ),
    "host": (checks.check_site_is_allowed, {**HTTPS, "ALLOWED_HOSTS": ["example.com"]}, "ops.E006"),
    "sessions-in-memory": (
        checks.check_shared_sessions, {"SESSION_ENGINE": IN_CACHE, "CACHES": LOCMEM, "PROCESSES": 2}, "ops.E007",
    ),
    "pool-and-kept": (
        checks.check_pool,
        {"DATABASES": {"default": {**POSTGRESQL, "CONN_MAX_AGE": 60, "OPTIONS": POOL}}},
        "ops.E008",
    ),
    "stock-and-kept": (
        checks.check_kept_connections,
        {"DATABASES": {"default": {**POSTGRESQL, "CONN_MAX_AGE": None}}, "STOCK_ASGI": True, **UNDER_ASGI},
        "ops.E009",
    ),
    "cache-in-memory": (checks.check_shared_cache, {"CACHES": LOCMEM, "PROCESSES": 2}, "ops.W008"),
    "no-mail-server": (checks.check_mail_leaves, {**HTTPS, "MAILERS": {"server": {"BACKEND": NO_SERVER}}}, "ops.W007"),
    "http": (
        checks.check_public_address, {"SITE_URL": "http://example.com", "ALLOWED_HOSTS": ["example.com"]}, "ops.W001",
    ),
    "any-proxy": (
        checks.check_believed_proxies, {"SLOT": None, "FORWARDED_ALLOW_IPS": "*", "BIND_ADDRESS": "0.0.0.0"},
        "ops.W002",
    ),
    "no-proxy": (
        checks.check_https_arrives, {**HTTPS, "SECURE_SSL_REDIRECT": True, "FORWARDED_ALLOW_IPS": None}, "ops.W003",
    ),
    "sync-middleware": (
        checks.check_middleware_is_async, {**UNDER_ASGI, "MIDDLEWARE": [f"{HERE}.SyncOnly"]}, "ops.W004",
    ),
    "memory": (checks.check_memory_of_workers, {"WORKERS": 100_000}, "ops.W005"),
    "prefix-without-slash": (checks.check_policies, {"CSP_BY_PATH": {"docs/": POLICY}}, "ops.E010"),
    "prefix-with-query": (checks.check_policies, {"CSP_BY_PATH": {"/docs?a": POLICY}}, "ops.E010"),
    "no-directive": (checks.check_policies, {"CSP_BY_PATH": {"/docs/": {"script": ["'self'"]}}}, "ops.E010"),
    "no-quotes": (checks.check_policies, {"CSP_BY_PATH": {"/docs/": {"script-src": ["self"]}}}, "ops.E010"),
    "no-policy": (checks.check_policies, {"CSP_BY_PATH": {"/docs/": {}}}, "ops.E010"),
    "no-dict": (checks.check_policies, {"CSP_BY_PATH": {"/docs/": "script-src 'self'"}}, "ops.E010"),
    "no-directive-of-the-site": (checks.check_policies, {"SECURE_CSP": {"scripts-src": True}}, "ops.E010"),
    "socket-not-below-live": (
        checks.check_own_websockets, own_websockets(path("talks/<int:pk>", Consumer.as_asgi())), "ops.E011",
    ),
    "socket-not-below-live-by-expression": (
        checks.check_own_websockets, own_websockets(re_path("^(live/)?talks$", application)), "ops.E011",
    ),
    "consumer-without-as-asgi": (
        checks.check_own_websockets, own_websockets(path("live/talks", Consumer)), "ops.E011",
    ),
    "view-for-a-socket": (
        checks.check_own_websockets, own_websockets(path("live/talks", lambda request: None)), "ops.E011",
    ),
    "included-sockets": (
        checks.check_own_websockets,
        own_websockets(path("live/talks/", include([path("", Consumer.as_asgi())]))), "ops.E011",
    ),
    "router-of-sockets": (
        checks.check_own_websockets,
        own_websockets(path("live/talks/", URLRouter([path("", application)]))), "ops.E011",
    ),
}  # fmt: skip


@pytest.fixture
def given(monkeypatch):
    def given(**values):
        for name, value in values.items():
            monkeypatch.setattr(settings, name, value)

    return given


@pytest.mark.parametrize(("check", "values", "identity"), FOUND.values(), ids=FOUND)
def test_it_is_found_and_said_with_what_to_do(given, check, values, identity):
    given(**values)
    (message,) = check(None)
    assert message.id == identity
    assert message.hint
    assert message.msg.endswith(".")


FINE = {
    "shared-layer-with-redis": (checks.check_shared_channel_layer, {"PROCESSES": 2, "REDIS_URL": "redis://localhost"}),
    "budget-to-the-last": (
        checks.check_connection_budget,
        {"DATABASES": {"default": POSTGRESQL}, "DATABASE_CONNECTIONS": 90, "DATABASE_MAX_CONNECTIONS": 100},
    ),
    "debug-here": (checks.check_debug, {**HTTP, "DEBUG": True}),
    "secure-over-https": (checks.check_https_only_settings, {**HTTPS, "SESSION_COOKIE_SECURE": True}),
    "prefix": (checks.check_cookie_prefixes, HOST_COOKIE),
    "domain-without-prefix": (checks.check_cookie_prefixes, {"SESSION_COOKIE_DOMAIN": ".example.com"}),
    "host-with-port": (checks.check_site_is_allowed, {**HTTPS, "SITE_URL": "https://www.example.com:8443"}),
    "host-by-pattern": (checks.check_site_is_allowed, {**HTTPS, "ALLOWED_HOSTS": [".example.com"]}),
    "ipv6": (checks.check_site_is_allowed, {**HTTP, "SITE_URL": "http://[::1]:8000"}),
    "sessions-in-redis": (
        checks.check_shared_sessions, {"SESSION_ENGINE": IN_CACHE, "CACHES": REDIS, "PROCESSES": 2},
    ),
    "sessions-of-one-process": (
        checks.check_shared_sessions, {"SESSION_ENGINE": IN_CACHE, "CACHES": LOCMEM, "PROCESSES": 1},
    ),
    "cache-in-redis": (checks.check_shared_cache, {"CACHES": REDIS, "PROCESSES": 2}),
    "cache-of-one-process": (checks.check_shared_cache, {"CACHES": LOCMEM, "PROCESSES": 1}),
    "no-mail-server-here": (checks.check_mail_leaves, {**HTTP, "MAILERS": {"server": {"BACKEND": NO_SERVER}}}),
    "mail-server": (checks.check_mail_leaves, {**HTTPS, "MAILERS": {"server": {"OPTIONS": {"host": "localhost"}}}}),
    "pool": (checks.check_pool, {"DATABASES": {"default": {**POSTGRESQL, "OPTIONS": POOL}}}),
    "kept": (checks.check_kept_connections, {"DATABASES": {"default": {**POSTGRESQL, "CONN_MAX_AGE": 60}}}),
    "any-proxy-in-the-stack": (
        checks.check_believed_proxies, {"SLOT": "blue", "FORWARDED_ALLOW_IPS": "*", "BIND_ADDRESS": "0.0.0.0"},
    ),
    "one-proxy": (
        checks.check_https_arrives, {**HTTPS, "SECURE_SSL_REDIRECT": True, "FORWARDED_ALLOW_IPS": "10.0.0.1"},
    ),
    "middleware-for-both": (checks.check_middleware_is_async, {**UNDER_ASGI, "MIDDLEWARE": [f"{HERE}.ForBoth"]}),
    "sync-middleware-under-wsgi": (
        checks.check_middleware_is_async, {"SERVER_INTERFACE": "WSGI", "MIDDLEWARE": [f"{HERE}.SyncOnly"]},
    ),
    "policy": (
        checks.check_policies,
        {"CSP_BY_PATH": {"/docs/": {**POLICY, "img-src": "data:", "upgrade-insecure-requests": True}}},
    ),
    "one-worker": (checks.check_memory_of_workers, {"WORKERS": 1}),
    "own-sockets": (
        checks.check_own_websockets,
        own_websockets(
            path("live/talks", Consumer.as_asgi()),
            re_path("^live/talks/([0-9]+)$", application),
            path("live/members", AuthMiddlewareStack(Consumer.as_asgi())),
        ),
    ),
    "no-own-sockets": (checks.check_own_websockets, {"ROOT_URLCONF": ModuleType("urls")}),
}  # fmt: skip


@pytest.mark.parametrize(("check", "values"), FINE.values(), ids=FINE)
def test_what_is_right_is_not_spoken_of(given, check, values):
    given(**values)
    assert check(None) == []


def test_a_sync_only_middleware_is_named(given):
    given(SERVER_INTERFACE="ASGI", MIDDLEWARE=[f"{HERE}.ForBoth", f"{HERE}.SyncOnly"])
    (message,) = checks.check_middleware_is_async(None)
    assert f"{HERE}.SyncOnly" in message.msg


@pytest.mark.parametrize("compared", [{"django": ("6.0",)}, {"asgiref": ("3.12", "4.0")}], ids=["django", "asgiref"])
def test_a_version_that_was_not_compared_is_named_under_asgi_alone(given, monkeypatch, compared):
    monkeypatch.setattr(serving, "COMPARED_WITH", compared)
    given(SERVER_INTERFACE="ASGI")
    (message,) = checks.check_compared_versions(None)
    assert (message.id, next(iter(compared)) in message.msg) == ("ops.W006", True)
    given(SERVER_INTERFACE="WSGI")
    assert checks.check_compared_versions(None) == []


def test_the_versions_here_were_compared():
    assert serving.not_compared() == []


@pytest.mark.parametrize("mode", MODES)
def test_our_own_middleware_is_for_both(given, mode):
    given(SERVER_INTERFACE=MODES[mode].pages.interface)
    assert checks.check_middleware_is_async(None) == []


def test_every_check_is_registered():
    assert {check for check, _, _ in FOUND.values()} <= set(registry.get_checks(include_deployment_checks=True))
