"""Settings derived from the mode, from SITE_URL and from the container. A project's settings begin with

    from kit.settings import *

and override these below it. `.env.example` documents the variables that are read here.
"""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from kit.environment import (
    are_networks,
    are_networks_or_all,
    are_origins,
    as_host,
    as_mail_server,
    as_origin,
    env,
    is_database,
    is_dsn,
    is_mail_server,
    is_random,
    is_redis,
    is_sender,
)
from kit.serving import modes, not_compared
from kit.store import EXPECTED, is_store, store

BASE_DIR = Path(__file__).resolve().parent.parent
# Files that the project writes without Docker: the SQLite database, collected static files, the secret key.
VAR_DIR = BASE_DIR / "var"
VAR_DIR.mkdir(exist_ok=True)

# --- Environment ---

if (VAR_DIR / "secret_key").exists() and not os.environ.get("SECRET_KEY"):
    # `make run-…` creates it for this machine alone. The stack has its own in secrets/.
    os.environ.setdefault("SECRET_KEY_FILE", str(VAR_DIR / "secret_key"))


def _number(name, expected, default, least=1, most=1_000_000):
    return env.read("int", name, expected, default, validate=lambda value: least <= value <= most)


def _choice(name, choices, default):
    return env.read("str", name, f"one of {', '.join(choices)}", default, validate=choices.__contains__)


SERVER_MODE = _choice("SERVER_MODE", list(modes.MODES), "wsgi")
SERVER_ROLE = _choice("SERVER_ROLE", modes.ROLES, "pages")
SLOT = _choice("SLOT", ["blue", "green"], None)
_random = "50 or more random characters (`make run-wsgi` or `make up-wsgi` makes one)"
SECRET_KEY = env.read("str", "SECRET_KEY", _random, validate=is_random, secret=True)
DEBUG = env.read("bool", "DEBUG", "1 or 0", False)
PORT = _number("PORT", "a port number, 1 to 65535", 8000, most=65535)
BIND_ADDRESS = env.read("str", "BIND_ADDRESS", "an address of this machine, such as 127.0.0.1", "127.0.0.1")
_address = (
    "an address without a path, such as https://www.example.com or http://localhost:8080, or several of one scheme "
    "with nothing but commas between them"
)
_sites = env.read("list", "SITE_URL", _address, [f"http://localhost:{PORT}"], validate=are_origins)
SITE_URLS = list(map(as_origin, _sites))
_networks = "networks with commas between them, such as 10.0.0.0/8"
TRUSTED_PROXIES = env.read("list", "TRUSTED_PROXIES", _networks, [], validate=are_networks)
FORWARDED_ALLOW_IPS = env.read("str", "FORWARDED_ALLOW_IPS", f"{_networks}, or *", None, validate=are_networks_or_all)
HTTP3 = env.read("bool", "HTTP3", "1 or 0", False)
LIMIT_PAGES = _number("LIMIT_PAGES", "requests a second, or 0 for no limit", 20, least=0)
LIMIT_LIVE = _number("LIMIT_LIVE", "requests a second, or 0 for no limit", 100, least=0)
LIMIT_SIGN_IN = _number("LIMIT_SIGN_IN", "attempts a minute, or 0 for no limit", 10, least=0)
LIMIT_SIGN_UP = _number("LIMIT_SIGN_UP", "attempts a minute, or 0 for no limit", 10, least=0)
LIMIT_UPLOAD = _number("LIMIT_UPLOAD", "megabytes, 1 to 10000", 10, most=10_000)
LIMIT_CONNECTIONS = _number("LIMIT_CONNECTIONS", "a number, or 0 for no limit", 500, least=0)
_sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "db.sqlite3")}
_postgres = "an address such as postgres://user:password@host:5432/name"
_database = env.read("database", "DATABASE_URL", _postgres, _sqlite, validate=is_database, secret=True)
DATABASE_MAX_CONNECTIONS = _number("DATABASE_MAX_CONNECTIONS", "a whole number of 10 or more", 100, least=10)
_redis = "an address such as redis://host:6379/0"
REDIS_URL = env.read("str", "REDIS_URL", _redis, None, validate=is_redis, secret=True)
CACHE_URL = env.read("str", "CACHE_URL", _redis, None, validate=is_redis, secret=True)
_mail = "an address such as smtp://user:password@host:587, or smtps://user:password@host:465"
EMAIL_URL = env.read("str", "EMAIL_URL", _mail, None, validate=is_mail_server, secret=True)
WEB_CONCURRENCY = _number("WEB_CONCURRENCY", "a whole number of 1 or more", None)
WEB_THREADS = _number("WEB_THREADS", "a whole number of 1 or more", None)
WEB_REPLICAS = _number("WEB_REPLICAS", "a whole number of 1 or more", 1)
WORKER_PROCESSES = _number("WORKER_PROCESSES", "a whole number, or 0 for none", 1, least=0)
WORKER_THREADS = _number("WORKER_THREADS", "a whole number of 1 or more", 4)
SENTRY_DSN = env.read("str", "SENTRY_DSN", "an address such as https://key@host/1", None, validate=is_dsn, secret=True)
REVISION = env.read("str", "REVISION", "the commit that is served", None)
METRICS = env.read("bool", "METRICS", "1 or 0", False)
METRICS_PORT = _number("METRICS_PORT", "a port number, 1 to 65535", 9100, most=65535)
STOCK_ASGI = env.read("bool", "STOCK_ASGI", "1 or 0", False) or bool(not_compared())
STOCK_WSGI = env.read("bool", "STOCK_WSGI", "1 or 0", False)

# --- Mode ---

_mode = modes.MODES[SERVER_MODE].with_threads(WEB_THREADS)
_server = getattr(_mode, SERVER_ROLE)
_workers = {server: WEB_CONCURRENCY or server.workers(shared_layer=bool(REDIS_URL)) for server in _mode.servers()}
# How this process serves: WSGI or ASGI, the worker class, the number of workers, and the threads of each.
SERVER_INTERFACE = _server.interface
APPLICATION_SETTING = _server.application_setting
WORKER_CLASS = _server.gunicorn_worker_class
WORKERS = _workers[_server]
THREADS = _server.threads
# Totals of the mode: worker processes, and the most connections they open to PostgreSQL. The stack counts one more
# server of each kind: during a release, two versions run at once.
PROCESSES = sum(_workers.values())
_connections = sum(count * server.threads for server, count in _workers.items()) * (WEB_REPLICAS + bool(SLOT))
# The stack runs jobs in `worker` containers; without it, each server process does. Each needs a connection per thread,
# one to look for work and one for its heartbeat.
JOBS_HERE = bool(WORKER_PROCESSES) and not SLOT
_jobs = PROCESSES if JOBS_HERE else WORKER_PROCESSES * (2 if SLOT else 1)
DATABASE_CONNECTIONS = _connections + _jobs * (WORKER_THREADS + 2)
# The stack's services for this mode.
SERVICES = ["web"] if _mode.pages == _mode.live else ["web", "live"]
# The transports that pages offer, and those that this process can answer: they differ in hybrid mode.
LIVE_TRANSPORTS = _mode.live.live_transports
LIVE_TRANSPORTS_HERE = _server.live_transports
# For MIDDLEWARE: serves static files where no Nginx does.
STATIC_MIDDLEWARE = list(_server.static_middleware)

# --- Database, channel layer, sessions ---

DATABASES = {"default": _server.database(_database, stock=STOCK_ASGI)}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
if REDIS_URL:
    # Pub/sub and not the core layer: it resubscribes when Redis comes back. Messages sent meanwhile are lost, which
    # kit.live allows for.
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_connect_timeout": 2}]},
    }
SESSION_ENGINE = "kit.sessions"

# --- WebSockets ---

# Messages per seconds: a client that sends more is closed with 1008, as is one that sends over 20 times as many frames,
# such as pings.
WEBSOCKET_RATE = (20, 10)
# Bytes: a client that sends a longer message is closed with 1009.
WEBSOCKET_SIZE = 64 * 1024
# Seconds without a message in either direction after which one of the project's own WebSockets
# (websocket_urlpatterns) is closed with 1001.
WEBSOCKET_IDLE = 3600

# --- Public address ---

# The canonical address. Nginx redirects visitors of the others to it.
SITE_URL = SITE_URLS[0]
_https = urlsplit(SITE_URL).scheme == "https"
LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = []
for _site in map(urlsplit, SITE_URLS):
    _host = as_host(_site.hostname)
    _names = LOOPBACK_HOSTS if _host in LOOPBACK_HOSTS else [_host]
    # No duplicates: Nginx does not start with a name listed twice.
    ALLOWED_HOSTS += [name for name in _names if name not in ALLOWED_HOSTS]
CSRF_TRUSTED_ORIGINS = SITE_URLS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _https
# Scripts read the CSRF token from a form, and need none of the cookies.
CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
if _https:
    # The prefix guarantees that this very host has set the cookie over TLS, and no subdomain.
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    LANGUAGE_COOKIE_NAME = "__Host-django_language"
SECURE_SSL_REDIRECT = _https
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _https else 0
# HSTS for subdomains and preload lists is the domain owner's decision: W005, W021.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
if not _https:
    # These four need TLS. ops.W001 reports what matters: unencrypted passwords on a public address.
    SILENCED_SYSTEM_CHECKS += ["security.W004", "security.W008", "security.W012", "security.W016"]

# --- What browsers may do ---

# A Content-Security-Policy for the pages below a path, instead of SECURE_CSP: {"/docs/": {"script-src": …}}.
CSP_BY_PATH = {}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
# Pages of other origins may not embed responses of this site.
SECURE_CROSS_ORIGIN_RESOURCE_POLICY = "same-origin"
# Browser features that no page of this site uses. Remove those that you use.
SECURE_PERMISSIONS_POLICY = ", ".join(
    f"{ability}=()"
    for ability in """
        accelerometer autoplay camera clipboard-read clipboard-write display-capture encrypted-media fullscreen gamepad
        geolocation gyroscope hid identity-credentials-get idle-detection local-fonts magnetometer microphone midi
        otp-credentials payment picture-in-picture screen-wake-lock serial storage-access usb window-management
        xr-spatial-tracking
    """.split()  # noqa: SIM905
)
# For a form without its files, which LIMIT_UPLOAD limits.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# --- Templates and static files ---

_loaders = ["django.template.loaders.filesystem.Loader", "django.template.loaders.app_directories.Loader"]
# For TEMPLATES, as with APP_DIRS, except that with DEBUG an edited template takes effect at once.
TEMPLATE_LOADERS = _loaders if DEBUG else [("django.template.loaders.cached.Loader", _loaders)]
FORM_RENDERER = "kit.forms.Renderer"
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage" if DEBUG else "kit.serving.static.Storage"
    },
}
# A file opened as a document or run as a worker has its own policy. Under ASGI, no middleware handles it. Keep it in
# step with nginx/snippets/static.conf.
STATIC_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": SECURE_CROSS_ORIGIN_OPENER_POLICY,
    "Cross-Origin-Resource-Policy": SECURE_CROSS_ORIGIN_RESOURCE_POLICY,
    "Referrer-Policy": SECURE_REFERRER_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": X_FRAME_OPTIONS,
}
WHITENOISE_ALLOW_ALL_ORIGINS = False


def WHITENOISE_ADD_HEADERS_FUNCTION(headers, path, url):
    for name, value in STATIC_HEADERS.items():
        headers[name] = value


# --- Jobs ---

# The jobs' schedule, a line each: SCHEDULES["nightly"] = {"task": "apps.shop.tasks.nightly", "cron": "0 3 * * *"}.
SCHEDULES = {"prune_jobs": {"task": "kit.jobs.prune", "cron": "17 4 * * *"}}
TASKS = {
    "default": {
        "BACKEND": "django_ox.backend.OxBackend",
        # Empty: any queue.
        "QUEUES": [],
        "OPTIONS": {
            # Seconds without a heartbeat after which another worker repeats a killed worker's job.
            "LOCK_TIMEOUT": 30,
            # Retries after 5, 10, 20 … and at most 600 s: for half an hour.
            "MAX_ATTEMPTS": 10,
            "BACKOFF_INITIAL": 5,
            "BACKOFF_MAX": 600,
            "SCHEDULES": SCHEDULES,
        },
    }
}

# --- Mail ---

_sender = f"webmaster@{urlsplit(SITE_URL).hostname}"
_from = "an address, such as Shop <shop@example.com>"
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.read("str", "DEFAULT_FROM_EMAIL", _from, _sender, validate=is_sender)
# /dev/mail/ shows mails on a developer's machine without a mail server. In containers, only `make dev-docker` sets
# DEV_MAIL, as it publishes its port for this machine alone.
DEV_MAIL = env.read("bool", "DEV_MAIL", "1 or 0", False) and DEBUG if SLOT else True
MAIL_SHOWN = DEV_MAIL and not EMAIL_URL and set(ALLOWED_HOSTS) <= set(LOOPBACK_HOSTS)
# send_mail uses `default`: it stores a mail in the database until `server` has sent it.
MAILERS = {
    "default": {"BACKEND": "kit.mail.backend.Queue"},
    "server": {"OPTIONS": as_mail_server(EMAIL_URL)} if EMAIL_URL else {"BACKEND": "kit.mail.backend.NoServer"},
}
SCHEDULES["prune_mails"] = {"task": "kit.mail.tasks.prune", "cron": "27 4 * * *"}

# --- Cache ---

# The cache has its own user and database in the stack's Redis (docker/redis).
if not CACHE_URL and REDIS_URL:
    CACHE_URL = re.sub(r"^(redis://)app(:[^@]+@redis:6379)/0$", r"\1cache\2/1", REDIS_URL)
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
if CACHE_URL:
    CACHES["default"] = {"BACKEND": "kit.cache.RedisCache", "LOCATION": [CACHE_URL], "KEY_PREFIX": "cache"}

# --- Visitors' files ---

MEDIA_URL = "/media/"
# In the stack, a volume that Nginx also reads.
MEDIA_ROOT = VAR_DIR / "media"
FILE_UPLOAD_PERMISSIONS, FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o644, 0o755
FILE_UPLOAD_HANDLERS = [
    "kit.files.UploadLimit",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
STORAGES["default"] = {"BACKEND": "kit.files.Files"}
SCHEDULES["prune_uploads"] = {"task": "kit.files.prune", "cron": "37 4 * * *"}
# For SECURE_CSP: the sources of visitors' files besides this site, if they are in a store.
MEDIA_SOURCES = []
_media_store = env.read("str", "MEDIA_STORE", EXPECTED, None, validate=is_store, secret=True)
if _media_store:
    STORAGES["default"], *MEDIA_SOURCES = store(_media_store)

# --- Errors ---

if SENTRY_DSN:
    from kit import reports

    reports.start(SENTRY_DSN, urlsplit(SITE_URL).hostname, REVISION, mode=SERVER_MODE, role=SERVER_ROLE, slot=SLOT)

# --- Without services ---

# Replacements for missing services, reported at start. Add a sentence of your own.
STANDS_IN = []
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    STANDS_IN += ["The database is an SQLite file in var/ (DATABASE_URL sets another)."]
if not REDIS_URL:
    STANDS_IN += ["Without Redis (REDIS_URL), one process serves all live pages."]
if not CACHE_URL:
    STANDS_IN += ["The cache is the memory of each process (CACHE_URL)."]
if MAIL_SHOWN:
    STANDS_IN += [f"Mails are not sent: {SITE_URL}/dev/mail/ shows them (EMAIL_URL)."]

# --- Logs ---

# To stderr. gunicorn.conf.py configures Gunicorn's and Uvicorn's.
LOGGING_CONFIG = "kit.logs.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "kit.logs.formatter", "stream": "ext://sys.stderr"}},
    "filters": {"clean": {"()": "kit.logs.Clean"}, "short": {"()": "kit.logs.Clean", "traceback": False}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["clean"]},
        "short": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["short"]},
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "django.security": {"handlers": ["short"], "propagate": False},
        # Otherwise its command adds a handler with another format.
        "django_ox": {"handlers": ["console"], "level": "INFO", "propagate": False},
    },
}
