"""Every setting, for every environment: what differs between machines is read from environment variables, here alone.

`.env.example` is their manual. Missing and wrong variables stop the start with one line for each.
"""

import ipaddress
import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.utils.csp import CSP
from django.utils.translation import gettext_lazy as _

from wisheasy.environment import Environment
from wisheasy.serving import modes

BASE_DIR = Path(__file__).resolve().parent.parent
# What the project writes when it runs without Docker: the SQLite file, collected static files, the secret key.
VAR_DIR = BASE_DIR / "var"

# --- Environment ---


def _are_origins(values: list[str]) -> bool:
    """Are they all origins, and of one scheme?"""
    return all(map(_is_origin, values)) and len({urlsplit(value).scheme for value in values}) == 1


def _is_origin(value: str) -> bool:
    """Is it a scheme, a host and perhaps a port, with nothing before or behind them?"""
    parts = urlsplit(value)
    port_is_right = parts.port != 0  # Not a number: ValueError.
    bare = value == f"{parts.scheme}://{parts.netloc}" and "@" not in value
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port_is_right and bare


def _is_limit(value: int) -> bool:
    return 0 <= value <= 1_000_000


def _are_networks(values: list[str]) -> bool:
    return all(map(ipaddress.ip_network, values))  # Not a network: ValueError.


env = Environment()
if (VAR_DIR / "secret_key").exists() and not os.environ.get("SECRET_KEY"):
    # Made by `make run-…` for this machine alone. The stack has its own in secrets/.
    os.environ.setdefault("SECRET_KEY_FILE", str(VAR_DIR / "secret_key"))

SERVER_MODE = env.read(
    "str", "SERVER_MODE", f"one of {', '.join(modes.MODES)}", "wsgi", validate=modes.MODES.__contains__
)
UPSTREAM = env.read(
    "str", "UPSTREAM", f"one of {', '.join(modes.UPSTREAMS)}", "pages", validate=modes.UPSTREAMS.__contains__
)
SLOT = env.read("str", "SLOT", "blue or green", None, validate=("blue", "green").__contains__)
SECRET_KEY = env.read(
    "str",
    "SECRET_KEY",
    "50 or more random characters (`make run-wsgi` or `make up-wsgi` makes one)",
    validate=lambda value: len(value) >= 50 and len(set(value)) >= 5,
    secret=True,
)
DEBUG = env.read("bool", "DEBUG", "1 or 0", False)
LAB = env.read("bool", "LAB", "1 or 0", False)  # only with lab
PORT = env.read("int", "PORT", "a port number, 1 to 65535", 8000, validate=lambda value: 0 < value < 65536)
BIND_ADDRESS = env.read("str", "BIND_ADDRESS", "an address of this machine, such as 127.0.0.1", "127.0.0.1")
SITE_URLS = env.read(
    "list",
    "SITE_URL",
    "an address without a path, such as https://www.example.com or http://localhost:8080, or several of one scheme "
    "with nothing but commas between them",
    [f"http://localhost:{PORT}"],
    validate=_are_origins,
)
TRUSTED_PROXIES = env.read(
    "list", "TRUSTED_PROXIES", "networks with commas between them, such as 10.0.0.0/8", [], validate=_are_networks
)
HTTP3 = env.read("bool", "HTTP3", "1 or 0", False)
LIMIT_PAGES = env.read("int", "LIMIT_PAGES", "requests a second, or 0 for no limit", 20, validate=_is_limit)
LIMIT_LIVE = env.read("int", "LIMIT_LIVE", "requests a second, or 0 for no limit", 100, validate=_is_limit)
LIMIT_SIGN_IN = env.read("int", "LIMIT_SIGN_IN", "attempts a minute, or 0 for no limit", 10, validate=_is_limit)
LIMIT_SIGN_UP = env.read("int", "LIMIT_SIGN_UP", "attempts a minute, or 0 for no limit", 10, validate=_is_limit)
LIMIT_CONNECTIONS = env.read("int", "LIMIT_CONNECTIONS", "a number, or 0 for no limit", 500, validate=_is_limit)
DATABASE = env.read(
    "dj_db_url",
    "DATABASE_URL",
    "an address such as postgres://user:password@host:5432/name",
    {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "db.sqlite3")},
    validate=lambda value: bool(value.get("ENGINE")) and bool(value.get("NAME")),
    secret=True,
)
DATABASE_MAX_CONNECTIONS = env.read(
    "int", "DATABASE_MAX_CONNECTIONS", "a whole number of 10 or more", 100, validate=lambda value: value >= 10
)
REDIS_URL = env.read(
    "str",
    "REDIS_URL",
    "an address such as redis://host:6379/0",
    None,
    validate=lambda value: urlsplit(value).scheme in ("redis", "rediss", "unix"),
    secret=True,
)
WEB_CONCURRENCY = env.read(
    "int", "WEB_CONCURRENCY", "a whole number of 1 or more", None, validate=lambda value: value >= 1
)
WEB_THREADS = env.read("int", "WEB_THREADS", "a whole number of 1 or more", None, validate=lambda value: value >= 1)
SERVING_STOCK = env.read("bool", "SERVING_STOCK", "1 or 0", False)
FORWARDED_ALLOW_IPS = env.read(
    "str",
    "FORWARDED_ALLOW_IPS",
    "networks with commas between them, such as 10.0.0.0/8, or *",
    None,
    validate=lambda value: value == "*" or _are_networks(value.split(",")),
)
env.stop_on_faults()

# --- Mode ---

MODE = modes.MODES[SERVER_MODE]
if WEB_THREADS:
    MODE = MODE.with_threads(WEB_THREADS)
SERVER = getattr(MODE, UPSTREAM)
_workers = {server: WEB_CONCURRENCY or server.workers(shared_layer=bool(REDIS_URL)) for server in MODE.servers()}
WORKERS = _workers[SERVER]
# What the whole mode comes to: worker processes, and the most connections they open to PostgreSQL.
PROCESSES = sum(_workers.values())
# In the stack twice as many: during a release two versions run beside each other.
DATABASE_CONNECTIONS = sum(count * server.threads for server, count in _workers.items()) * (2 if SLOT else 1)
# What pages offer their visitors, and what this very process can answer: in hybrid mode they differ.
LIVE_TRANSPORTS = MODE.live.live_transports
LIVE_TRANSPORTS_HERE = SERVER.live_transports

# --- Applications ---

INSTALLED_APPS = [
    "apps.accounts",
    "apps.wishes",  # only with wishes, else "apps.home",
    "apps.live",
    "apps.ops",
    *(["apps.lab"] if LAB else []),  # only with lab
    "axes",
    "channels",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    # First, so that a probe is answered whatever its Host header and with no work done.
    "apps.ops.middleware.HealthMiddleware",
    # Outside of all that may answer or refuse a request, so that those answers have their headers too.
    "apps.ops.middleware.BrowserPolicyMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    *SERVER.static_middleware,
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    # Innermost, where it divides none of those that the event loop runs as one. Whichever view has asked for the
    # password, the admin's too, it answers in its place once there were too many failures.
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "wisheasy.urls"
_template_loaders = ["django.template.loaders.filesystem.Loader", "django.template.loaders.app_directories.Loader"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "wisheasy" / "templates"],
        "OPTIONS": {
            # Kept in memory once they are read. While somebody works on them they are read each time: of Django's own
            # servers only runserver forgets those that have changed.
            "loaders": _template_loaders if DEBUG else [("django.template.loaders.cached.Loader", _template_loaders)],
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.live.context_processors.live",
                "apps.ops.context_processors.server",
            ],
        },
    }
]

# --- Database, channel layer ---

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": SERVER.database(DATABASE, stock=SERVING_STOCK)}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
if REDIS_URL:
    # Pub/sub and not the core layer: it subscribes again by itself when Redis comes back. What was sent meanwhile is
    # lost, which apps.live reckons with.
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_connect_timeout": 2}]},
    }

# --- Public address and security ---

# The first address is the site's own. Nginx sends visitors of the others on to it.
SITE_URL = SITE_URLS[0]
_https = urlsplit(SITE_URL).scheme == "https"
LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = []
for _site in map(urlsplit, SITE_URLS):
    _host = f"[{_site.hostname}]" if ":" in _site.hostname else _site.hostname
    ALLOWED_HOSTS += LOOPBACK_HOSTS if _host in LOOPBACK_HOSTS else [_host]
CSRF_TRUSTED_ORIGINS = SITE_URLS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _https
# SESSION_COOKIE_HTTPONLY is so from the start. Scripts take the CSRF token from a form, and need none of the cookies.
CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
if _https:
    # Of a cookie with this prefix a browser knows that this very host has set it, over TLS, and no subdomain.
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    LANGUAGE_COOKIE_NAME = "__Host-django_language"
SECURE_SSL_REDIRECT = _https
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _https else 0
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
# What a page may load and do: nothing but what is named here. A host of somebody else's (a CDN, analytics) is added to
# the line of what it does. A script or a style element in a template needs {% csp_nonce_attr %}; style attributes and
# onclick="…" do not work. A page that asks for no nonce may run no script at all.
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.NONCE],
    # Error pages are rendered without a request, and so without a nonce for their style sheet.
    "style-src": [CSP.SELF, CSP.NONCE],
    "img-src": [CSP.SELF],
    # Covers WebSockets to the same host. Safari before 16 sees that otherwise, but has no import maps either.
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
    # As default-src says already, but also where that one is opened.
    "object-src": [CSP.NONE],
}
# Abilities of a browser that no page of this site uses; what one does use is taken out of the list.
SECURE_PERMISSIONS_POLICY = ", ".join(
    f"{ability}=()"
    for ability in [
        "accelerometer", "autoplay", "camera", "clipboard-read", "clipboard-write", "display-capture",
        "encrypted-media", "fullscreen", "gamepad", "geolocation", "gyroscope", "hid", "identity-credentials-get",
        "idle-detection", "local-fonts", "magnetometer", "microphone", "midi", "otp-credentials", "payment",
        "picture-in-picture", "publickey-credentials-create", "publickey-credentials-get", "screen-wake-lock", "serial",
        "storage-access", "usb", "window-management", "xr-spatial-tracking",
    ]
)  # fmt: skip
# Pages of other origins may not put what this site answers into theirs.
SECURE_CROSS_ORIGIN_RESOURCE_POLICY = "same-origin"
# Subdomains and the browsers' preload list are for the owner of the domain to decide on: W005, W021.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
if not _https:
    # Without TLS none of these four can be had. ops.W001 says what matters: passwords in clear on a public address.
    SILENCED_SYSTEM_CHECKS += ["security.W004", "security.W008", "security.W012", "security.W016"]
# The same limit as Nginx's client_max_body_size, for where there is no Nginx.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# --- Accounts ---

AUTH_USER_MODEL = "accounts.User"
SESSION_ENGINE = "apps.accounts.sessions"
LOGIN_URL = "accounts:sign_in"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"
AUTHENTICATION_BACKENDS = ["apps.accounts.attempts.Backend"]
# Guesses at one account: after so many failures from one address (from all together: apps/accounts/attempts.py) nobody
# signs in to it from there until the last of them is so long ago. Whoever goes on trying meanwhile does not prolong it,
# and a success from that address clears what was counted there. `manage.py axes_reset_username NAME` does so at once.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=30)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_HANDLER = "apps.accounts.attempts.Attempts"
AXES_USERNAME_CALLABLE = "apps.accounts.attempts.account_name"
AXES_CLIENT_IP_CALLABLE = "apps.accounts.attempts.client_address"
AXES_LOCKOUT_CALLABLE = "apps.accounts.attempts.too_many"
# Kept is what has to be counted, until it no longer counts. Who mistook the field has typed a password as a name: names
# are in no log line, and no form is kept.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["username", "csrfmiddlewaretoken", "next"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# --- Language and time ---

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ko", _("Korean"))]
LOCALE_PATHS = [BASE_DIR / "wisheasy" / "locale"]
TIME_ZONE = "UTC"

# --- Static files ---

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
# A file may be opened as a document, or run as a worker, and then its own policy counts. Under ASGI no middleware comes
# near it. Nginx says the same in nginx/snippets/static.conf.
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


STATICFILES_DIRS = [BASE_DIR / "wisheasy" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# --- Logs ---

# To stderr, as JSON, or as plain text where that is a terminal. Gunicorn's and Uvicorn's: gunicorn.conf.py.
LOGGING_CONFIG = "wisheasy.logs.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "wisheasy.logs.formatter", "stream": "ext://sys.stderr"}},
    "filters": {"without_traceback": {"()": "wisheasy.logs.WithoutTraceback"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line"},
        "short": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["without_traceback"]},
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "django.security": {"handlers": ["short"], "propagate": False},
        # Failures, and not each step that leads to one.
        "axes": {"level": "WARNING"},
    },
}
