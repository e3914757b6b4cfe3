"""The project's part of django-allauth: the limit on password guesses, and the response beyond it. Nginx also limits
the forms per client address, whatever the account (nginx/snippets/limits.conf)."""

import logging
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from django.http import JsonResponse
from django.http.response import MAX_URL_REDIRECT_LENGTH
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers, patch_vary_headers

logger = logging.getLogger(__name__)

MINUTES = 30
# Guesses from one address can't lock the user out at another, and all addresses together get at most ten times as
# many guesses at one account.
HERE, EVERYWHERE = f"10/{MINUTES}m/key", f"100/{MINUTES}m/key"
QUIET = {"account/messages/logged_in.txt", "account/messages/logged_out.txt"}
# Not allowed in `next`: a signed-in user would be redirected for ever.
NOT_NEXT = "account_login", "account_signup", "account_logout"


class AccountAdapter(DefaultAccountAdapter):
    def pre_authenticate(self, request, **credentials):
        self.guesses = []
        for rate, key in counters(request, credentials):
            usage = ratelimit.consume(request, app="accounts", action="guess", config={"guess": rate}, key=key)
            if not usage:
                self._rollback_login_failed_rl_usage()
                # Don't log the name: people type passwords there.
                logger.warning("Too many wrong passwords: refused to %s for a while.", self.get_client_ip(request))
                raise ImmediateHttpResponse(too_many(request, MINUTES))
            self.guesses.append(usage)

    def _rollback_login_failed_rl_usage(self):
        for usage in self.guesses:
            usage.rollback()

    def _delete_login_attempts_cached_email(self, request, **credentials):
        # The password was reset by mail: forget earlier guesses.
        for rate, key in counters(request, credentials):
            ratelimit.clear(request, app="accounts", action="guess", config={"guess": rate}, key=key)

    def get_client_ip(self, request):
        # There is no address on a Unix socket.
        return request.META.get("REMOTE_ADDR") or "127.0.0.1"

    def authenticate(self, request, **credentials):
        # Don't reveal that a deactivated account exists.
        user = super().authenticate(request, **credentials)
        return user if user and user.is_active else None

    def is_safe_url(self, url):
        try:
            own = urlsplit(url).path in map(reverse, NOT_NEXT)
            return not own and len(url) <= MAX_URL_REDIRECT_LENGTH and super().is_safe_url(url)
        except ValueError:
            # Not a URL at all, such as "http://[".
            return False

    def add_message(self, request, level, message_template=None, *arguments, **more):
        # The page shows who is signed in.
        if message_template not in QUIET:
            super().add_message(request, level, message_template, *arguments, **more)


def counters(request, credentials):
    """The limits and keys that count a guess: by the typed name or email address, if there is one."""
    name = (credentials.get("email") or credentials.get("username") or "").lower()
    return [(HERE, f"{ratelimit.get_ip(request)} {name}"), (EVERYWHERE, name)] if name else []


def too_many(request, minutes=1):
    """The response instead of the form (handler429 in the project's urls.py: allauth's own limits are per minute)."""
    wait = minutes * 60
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        detail = f"Too many attempts. Try again in {wait} seconds."
        response = JsonResponse({"error": "too many requests", "detail": detail}, status=429)
    else:
        response = render(request, "accounts/too_many.html", {"minutes": minutes}, status=429)
    response.headers["Retry-After"] = str(wait)
    add_never_cache_headers(response)
    patch_vary_headers(response, ["Accept"])
    return response
