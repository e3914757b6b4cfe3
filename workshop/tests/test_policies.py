"""CSP_BY_PATH: another Content-Security-Policy for the pages below a path."""

import re

import pytest
from asgiref.sync import sync_to_async
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils.csp import CSP
from django.views.decorators.csp import csp_override

from kit.ops.middleware import BrowserPolicyMiddleware
from kit.serving.middleware import InlineHooks, counterpart

HEADER = "Content-Security-Policy"


def page(request):
    return HttpResponse(f"<p>{request._csp_nonce}</p>")


async def async_page(request):
    return page(request)


urlpatterns = [
    path("", page),
    path("docs/", page),
    path("docs/async", async_page),
    path("docs/deep/page", page),
    path("docstring", page),
    path("docs/own", csp_override({"img-src": ["https://own.example"]})(page)),
    path("docs/header", lambda request: HttpResponse(headers={HEADER: "sandbox"})),
    path("docs/none", csp_override({})(page)),
]


@pytest.fixture(autouse=True)
def policies(settings):
    settings.ROOT_URLCONF = __name__
    settings.SECURE_CSP = {"default-src": [CSP.NONE]}
    settings.CSP_BY_PATH = {
        "/docs/": {"script-src": [CSP.SELF, CSP.NONCE]},
        "/docs/deep": {"script-src": ["https://cdn.example"]},
    }


CASES = {
    "/": "default-src 'none'",
    "/docs/": "script-src 'self' 'nonce'",
    "/docs/async": "script-src 'self' 'nonce'",
    "/docs/deep/page": "script-src https://cdn.example",
    "/docstring": "default-src 'none'",
    "/docs/own": "img-src https://own.example",
    "/docs/header": "sandbox",
    "/docs/none": "",
}


def policy_of(response):
    return re.sub("nonce-[^']+", "nonce", response.headers.get(HEADER, ""))


@pytest.mark.parametrize(("address", "policy"), CASES.items())
async def test_the_longest_prefix_gives_the_policy_unless_the_view_does(address, policy):
    assert policy_of(await AsyncClient().get(address)) == policy
    assert policy_of(await sync_to_async(Client().get)(address)) == policy


def test_the_header_is_set_on_the_event_loop():
    assert issubclass(counterpart(BrowserPolicyMiddleware), InlineHooks)
