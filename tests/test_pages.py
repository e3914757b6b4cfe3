"""Tests of every page: the addresses come from the project's own URLs."""

from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib import admin
from django.shortcuts import resolve_url
from django.template import engines
from django.test import Client
from django.urls import URLPattern, get_resolver, path, reverse
from django.urls.converters import IntConverter, UUIDConverter
from django.utils.regex_helper import normalize

pytestmark = pytest.mark.django_db

# Keys of missing objects, whose pages answer 404.
EXAMPLES = {IntConverter: "999999999", UUIDConverter: str(uuid4())}
# Headers that each page must have; the settings decide their values.
HEADERS = ["Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy"]


def addresses(patterns, prefix="/"):
    """Each address with its view, and with example arguments."""
    for each in patterns:
        text, names = normalize(each.pattern.regex.pattern.removeprefix("^"))[0]
        converters = each.pattern.converters
        text %= {name: EXAMPLES.get(type(converters.get(name)), "unknown") for name in names}
        if isinstance(each, URLPattern):
            yield prefix + text, each.callback
        else:
            yield from addresses(each.url_patterns, prefix + text)


ADDRESSES = dict(addresses(get_resolver().url_patterns))


class Blocked(HTMLParser):
    """The parts of a page that its policy blocks: scripts and styles without the nonce, inline handlers and styles."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        line = f"line {self.getpos()[0]}: {self.get_starttag_text()}"
        inline = tag == "style" or (tag == "script" and attributes.get("type") != "application/json")
        if inline and "nonce" not in attributes and "src" not in attributes:
            self.found.append(line)
        if "style" in attributes or any(name.startswith("on") for name in attributes):
            self.found.append(line)


def is_opened(address):
    """Does the project relax the policy for this page?"""
    return any(address.startswith(prefix) for prefix in getattr(settings, "CSP_BY_PATH", {}))


@pytest.mark.parametrize("who", ["outsider", "member", "staff"])
def test_no_address_fails(request, who):
    client = request.getfixturevalue(who).client
    for address in ADDRESSES:
        # The client raises errors of the view.
        assert client.get(address).status_code < 500, address


@pytest.mark.parametrize("who", ["outsider", "staff"])
def test_every_page_has_its_headers_and_nothing_that_its_policy_stops(request, who):
    client = request.getfixturevalue(who).client
    pages = 0
    for address in ADDRESSES:
        response = client.get(address)
        assert [name for name in HEADERS if name not in response] == [], address
        policy = response["Content-Security-Policy"]
        assert "X-Frame-Options" in response or "frame-ancestors" in policy, address
        if is_opened(address) or not response.get("Content-Type", "").startswith("text/html"):
            continue
        pages += 1
        assert "'unsafe-inline'" not in policy, address
        assert "'unsafe-eval'" not in policy, address
        assert Blocked(response.text).found == [], address
    assert pages


def test_no_form_is_taken_without_its_token(member):
    client = Client(enforce_csrf_checks=True)
    client.force_login(member.user)
    for address, view in ADDRESSES.items():
        if not getattr(view, "csrf_exempt", False):
            assert client.post(address).status_code == 403, address


def test_another_host_than_the_site_is_refused(outsider):
    response = outsider.client.get("/", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert "evil.example" not in response.text


@pytest.mark.parametrize("address", ["/healthz/live", "/healthz/ready"])
def test_a_probe_is_answered_whatever_host_it_asks_for(outsider, address):
    assert outsider.client.get(address, headers={"Host": "10.0.0.7"}).status_code == 200


def test_an_unknown_address_has_a_page(outsider):
    response = outsider.client.get("/no/such/page")
    assert response.status_code == 404
    assert "<h1" in response.text


def test_a_form_without_its_token_has_a_page(outsider):
    response = Client(enforce_csrf_checks=True).post(resolve_url(settings.LOGIN_URL))
    assert response.status_code == 403
    assert "<h1" in response.text


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_each_error_has_a_page(rf, outsider, status):
    request = rf.get("/")
    request.session, request.user = outsider.client.session, None
    handler = get_resolver().resolve_error_handler(status)
    response = handler(request) if status == 500 else handler(request, exception=Exception("not for visitors"))
    assert response.status_code == status
    assert "<h1" in response.text


def test_a_failure_tells_a_visitor_nothing_of_its_cause(outsider, settings):
    def fail(request):
        raise RuntimeError("the cause")

    urls = ModuleType("urls")
    vars(urls).update(vars(import_module(settings.ROOT_URLCONF)), urlpatterns=[path("fail", fail)])
    settings.ROOT_URLCONF = urls
    outsider.client.raise_request_exception = False
    response = outsider.client.get("/fail")
    assert response.status_code == 500
    assert "the cause" not in response.text


def test_every_template_can_be_read():
    folders = [Path(folder) for folder in engines["django"].template_dirs]
    ours = [each for each in folders if each.is_relative_to(settings.BASE_DIR) and "site-packages" not in each.parts]
    names = [file.relative_to(folder).as_posix() for folder in ours for file in folder.rglob("*.html")]
    assert names
    for name in names:
        engines["django"].get_template(name)


def test_the_admin_shows_every_model_that_is_registered(staff):
    assert staff.client.get(reverse("admin:index")).status_code == 200
    for model in admin.site._registry:
        for page in ("changelist", "add"):
            address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}")
            # 403: the model's admin does not allow it.
            assert staff.client.get(address).status_code in (200, 403), address


def test_the_admin_is_for_staff(member, outsider):
    for person in (member, outsider):
        response = person.client.get(reverse("admin:index"))
        assert response.status_code == 302
        assert reverse("admin:login") in response["Location"]
