"""The project's settings. They override those in kit/settings.py, which follow from the mode, from SITE_URL and from
the container. A variable of your own is one line here, such as

    SHOP_NAME = env.read("str", "SHOP_NAME", "the name that customers see", "Shop")

and one in .env. A secret has `secret=True`, and is a file: secrets/app/stripe_key for STRIPE_KEY.
"""

from django.utils.csp import CSP

from kit.environment import env
from kit.settings import *

# Yours come first, so that their templates and commands take precedence.
INSTALLED_APPS = [
    "apps.accounts",
    "apps.wishes",
    "kit.live",
    "kit.mail",
    "kit.ops",
    "allauth",
    "allauth.account",
    "allauth.usersessions",
    "channels",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_ox",
]

MIDDLEWARE = [
    # First, so that probes are answered whatever their Host header, without any work.
    "kit.ops.middleware.HealthMiddleware",
    # Outside everything that may answer a request, so that those responses get the headers too.
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "kit.ops.middleware.BrowserPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    *STATIC_MIDDLEWARE,
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "wisheasy.urls"
WSGI_APPLICATION = "wisheasy.wsgi.application"
ASGI_APPLICATION = "wisheasy.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "wisheasy" / "templates"],
        "OPTIONS": {
            "loaders": TEMPLATE_LOADERS,
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "kit.context_processors.serving",
            ],
        },
    }
]

# --- Accounts ---

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_ADAPTER = "apps.accounts.adapter.AccountAdapter"
# Sign in by username or by email address, which is optional. Other set-ups: docs/product.md.
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "optional"
ACCOUNT_SESSION_REMEMBER = True
# Nginx limits these per client: LIMIT_SIGN_IN, LIMIT_SIGN_UP.
ACCOUNT_RATE_LIMITS = {"login": None, "signup": None}
# Used with "allauth.mfa" in INSTALLED_APPS.
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"

# --- Language and time ---

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ko", "한국어")]
LOCALE_PATHS = [BASE_DIR / "wisheasy" / "locale"]
TIME_ZONE = "UTC"

# --- Files and tables ---

STATICFILES_DIRS = [BASE_DIR / "wisheasy" / "static"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Content Security Policy ---

# Pages may load only these sources. Add another host (a CDN, analytics) to the line of its purpose. Scripts and
# style elements in templates need {% csp_nonce_attr %}; style attributes and onclick="…" do not work. For pages of a
# package that need more, set CSP_BY_PATH (docs/security.md).
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.NONCE],
    # Error pages are rendered without a request, and so have no nonce for their style sheet.
    "style-src": [CSP.SELF, CSP.NONCE],
    "img-src": [CSP.SELF, *MEDIA_SOURCES],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
    # Stays forbidden if you relax default-src.
    "object-src": [CSP.NONE],
}
CSP_BY_PATH = {}

# The last line: stops with a sentence for each variable that is missing or wrong.
env.seal()
