"""How often a password may be guessed. django-axes counts the failures; here is what counts as too many, and the
answer. Nginx limits sign-ins for each client address besides, whatever the account (nginx/snippets/limits.conf)."""

from ipaddress import ip_address, ip_network

from asgiref.sync import sync_to_async
from axes.attempts import get_cool_off_threshold
from axes.backends import AxesBackend
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.db.models import Sum
from django.http import JsonResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers, patch_vary_headers

from .models import User

# So many failures from everywhere weigh as much as one from here. Guesses from one address cannot lock the user out
# elsewhere, but many addresses together get no more than this many times the limit.
EVERYWHERE = 10


class Backend(AxesBackend):
    """Django's own backend, asked only while the account is not locked. One class, and not Axes' beside Django's: with
    two, `login()` would have to be told which, and `aauthenticate()` fails, which Axes' does not have."""

    def authenticate(self, request, username=None, password=None, **credentials):
        # Raises PermissionDenied where the account is locked.
        super().authenticate(request, username=username, password=password, **credentials)
        return ModelBackend.authenticate(self, request, username=username, password=password, **credentials)

    async def aauthenticate(self, request, **credentials):
        return await sync_to_async(self.authenticate)(request, **credentials)


class Attempts(AxesDatabaseHandler):
    def get_failures(self, request, credentials=None):
        here = super().get_failures(request, credentials)
        account = AccessAttempt.objects.filter(
            username=account_name(request, credentials), attempt_time__gte=get_cool_off_threshold(request)
        )
        everywhere = account.aggregate(failures=Sum("failures_since_start"))["failures"] or 0
        return max(here, everywhere // EVERYWHERE)


def account_name(request, credentials=None):
    """Whose failures they are: what was typed as a name, up to what the table holds. No account has a longer one."""
    name = (credentials or {}).get(User.USERNAME_FIELD) or ""
    return name[: AccessAttempt._meta.get_field("username").max_length]


def client_address(request):
    """What failures are counted under: an IPv4 address, or the IPv6 network, of which a client has all addresses."""
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        # A server on a Unix socket.
        return None
    return str(address if address.version == 4 else ip_network((address.packed, 64), strict=False).network_address)


def too_many(request, original_response=None, credentials=None):
    """The answer in place of the form, at the failure that was one too many and at every attempt after it."""
    wait = int(settings.AXES_COOLOFF_TIME.total_seconds())
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        detail = f"Too many failed attempts to sign in to this account. Try again in {wait} seconds."
        response = JsonResponse({"error": "too many requests", "detail": detail}, status=429)
    else:
        response = render(request, "accounts/too_many.html", {"minutes": wait // 60}, status=429)
    response.headers["Retry-After"] = str(wait)
    add_never_cache_headers(response)
    patch_vary_headers(response, ["Accept"])
    return response
