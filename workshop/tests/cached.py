"""Pages that cache_page keeps whole, for test_cache.py."""

from django.http import HttpResponse
from django.middleware.csp import get_nonce
from django.urls import path
from django.utils.crypto import get_random_string
from django.views.decorators.cache import cache_page
from django.views.decorators.vary import vary_on_cookie


def public(request):
    return HttpResponse(get_random_string(12))


def greeting(request):
    return HttpResponse(f"Hello {request.user}")


def scripted(request):
    return HttpResponse(f'<script nonce="{get_nonce(request)}"></script>')


def setting(request):
    response = HttpResponse(get_random_string(12))
    response.set_cookie("seen", get_random_string(12))
    return response


urlpatterns = [path(view.__name__, cache_page(60)(view)) for view in (public, greeting, scripted, setting)] + [
    path("varied", cache_page(60)(vary_on_cookie(greeting)))
]
