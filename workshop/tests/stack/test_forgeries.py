"""What somebody else makes a visitor's browser send: forms of other sites, sessions that were chosen beforehand, links
that lead away after signing in."""

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

import httpx
import pytest

from workshop.tests.servers import PASSWORD

# In hybrid mode pages are those of wsgi mode.
pytestmark = pytest.mark.modes("wsgi", "asgi")

SESSION, CSRF, LANGUAGE = "sessionid", "csrftoken", "django_language"


def token_in(html):
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', html)[1]


def name_in(html):
    """Who is signed in, as the page says."""
    found = re.search(r'data-signed-in="([^"]+)"', html)
    return found and found[1]


@pytest.fixture(scope="module")
def victim(stack):
    """Somebody who is signed in."""
    with stack.member() as member:
        yield member


@pytest.fixture(scope="module")
def attacker(stack):
    """Somebody who has an account too."""
    with stack.member() as member:
        yield member


# --- Cross-site request forgery


@dataclass
class Form:
    """What an address takes, whether a member sends it, and how a client sees that it was done."""

    path: str
    data: dict
    done: Callable
    by_member: bool = True


def delete_form(victim, attacker):
    number = victim.post("not to be deleted by others")
    return Form(f"/probe/{number}/delete", {}, lambda client: f"post-{number}" not in client.get("/probe/").text)


def post_form(victim, attacker):
    text = f"forged-{secrets.token_hex(6)}"
    return Form("/probe/", {"text": text}, lambda client: text in client.get("/probe/").text)


# Some addresses that change something: of an application, of Django, of the accounts. `done` says whether it had an
# effect.
FORMS = {
    "probe:page": post_form,
    "probe:delete": delete_form,
    "set_language": lambda victim, attacker: Form(
        "/i18n/setlang/", {"language": "ko", "next": "/"}, lambda client: LANGUAGE in client.cookies
    ),
    "account_login": lambda victim, attacker: Form(
        "/accounts/login/",
        {"login": attacker.name, "password": PASSWORD},
        lambda client: SESSION in client.cookies,
        by_member=False,
    ),
    "account_signup": lambda victim, attacker: Form(
        "/accounts/signup/",
        {"username": f"forged-{secrets.token_hex(6)}", "password1": PASSWORD, "password2": PASSWORD},
        lambda client: SESSION in client.cookies,
        by_member=False,
    ),
    # The last: the victim is signed in no longer.
    "account_logout": lambda victim, attacker: Form(
        "/accounts/logout/", {}, lambda client: name_in(client.get("/probe/").text) is None
    ),
}


def forgeries(site, data, token, foreign_token):
    """What a request may hold that is sent in the victim's name: keyword arguments of httpx's `request`."""
    good = {**data, "csrfmiddlewaretoken": token}
    host, port = urlsplit(site).hostname, urlsplit(site).port
    foreign_pages = {
        "another site": "https://forged.example",
        "no site": "null",
        "another port": f"http://{host}:{port + 1}",
        "another scheme": f"https://{host}:{port}",
        "a name that begins as ours": f"http://{host}.forged.example:{port}",
        "a name that ends as ours": f"http://forged{host}:{port}",
        "a name that is none": "http://[",
    }
    return {
        "no token": {"data": data},
        "an empty token": {"data": {**data, "csrfmiddlewaretoken": ""}},
        "a wrong token": {"data": {**data, "csrfmiddlewaretoken": secrets.token_hex(32)}},
        "a token cut short": {"data": {**data, "csrfmiddlewaretoken": token[:-1]}},
        "the token of somebody else": {"data": {**data, "csrfmiddlewaretoken": foreign_token}},
        "the token of somebody else in a header": {"data": data, "headers": {"X-CSRFToken": foreign_token}},
        "the token in the address": {"data": data, "params": {"csrfmiddlewaretoken": token}},
        "plain text": {"content": urlencode(good), "headers": {"Content-Type": "text/plain"}},
        "no content type": {"content": urlencode(good)},
        "JSON": {"json": good},
        "JSON as plain text": {"content": '{"text": "forged"}', "headers": {"Content-Type": "text/plain"}},
        "parts without a token": {"data": data, "files": {"file": ("name", b"content")}},
        "another method in a header": {"data": data, "headers": {"X-HTTP-Method-Override": "GET"}},
        "another method in the form": {"data": {**data, "_method": "GET"}},
        "the headers of a script": {"data": data, "headers": {"X-Requested-With": "XMLHttpRequest"}},
        **{
            f"the right token from {page}": {"data": good, "headers": {"Origin": origin}}
            for page, origin in foreign_pages.items()
        },
    }


@pytest.mark.parametrize("name", FORMS)
def test_no_form_of_another_site_has_an_effect(stack, victim, attacker, name):
    form = FORMS[name](victim, attacker)
    with stack.client(cookies=victim.client.cookies if form.by_member else None) as client:
        token = token_in(client.get("/probe/" if form.by_member else "/accounts/login/").text)
        foreign_token = token_in(attacker.client.get("/probe/").text)
        answers = {
            kind: client.post(form.path, **request).status_code
            for kind, request in forgeries(stack.url, form.data, token, foreign_token).items()
        }
        with stack.client() as without_cookie:
            without_cookie.cookies.update({key: value for key, value in client.cookies.items() if key != CSRF})
            good = {**form.data, "csrfmiddlewaretoken": token}
            answers["no cookie"] = without_cookie.post(form.path, data=good).status_code
            without_cookie.cookies.set(CSRF, attacker.client.cookies[CSRF])
            answers["the cookie of somebody else"] = without_cookie.post(form.path, data=good).status_code
        assert {kind: status for kind, status in answers.items() if status != 403} == {}
        assert not form.done(client)


@pytest.mark.parametrize("name", FORMS)
def test_nothing_but_a_post_has_an_effect(stack, victim, attacker, name):
    form = FORMS[name](victim, attacker)
    with stack.client(cookies=victim.client.cookies if form.by_member else None) as client:
        token = token_in(client.get("/probe/" if form.by_member else "/accounts/login/").text)
        good = {**form.data, "csrfmiddlewaretoken": token}
        overrides = {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST", "X-Method-Override": "POST"}
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"):
            for headers in ({"X-CSRFToken": token}, overrides):
                response = client.request(method, form.path, params={**good, "_method": "POST"}, headers=headers)
                assert response.status_code in (200, 302, 400, 403, 405, 422), method
        assert not form.done(client)


@pytest.mark.parametrize("name", FORMS)
def test_the_form_of_our_own_page_has_its_effect(stack, victim, attacker, name):
    """Or the tests above would see nothing where something was done."""
    form = FORMS[name](victim, attacker)
    with stack.client(cookies=victim.client.cookies if form.by_member else None) as client:
        token = token_in(client.get("/probe/" if form.by_member else "/accounts/login/").text)
        origin = {"Origin": f"http://localhost:{stack.port}"}
        response = client.post(form.path, data={**form.data, "csrfmiddlewaretoken": token}, headers=origin)
        assert response.status_code in (302, 303)
        assert form.done(client)


# They change nothing, or exist for tests that have no page.
OPEN = {"live:ws", "live:events", "live:changes", "note", "probe:die", "probe:step"}
# The name and the path of each address, with 1 in the place of what is variable; without those of the admin.
ADDRESSES = r"""
import json, re
from django.urls import URLPattern, get_resolver
def addresses(patterns, namespace="", before="/"):
    for pattern in patterns:
        path = before + re.sub(r"\(\?P<[^)]+\)|<[^>]+>", "1", str(pattern.pattern)).strip("^$")
        if isinstance(pattern, URLPattern):
            yield f"{namespace}{pattern.name}", path
        elif pattern.namespace != "admin":
            inner = f"{pattern.namespace}:" if pattern.namespace else namespace
            yield from addresses(pattern.url_patterns, inner, path)
print(json.dumps(list(addresses(get_resolver().url_patterns))))
"""


def test_no_address_of_any_application_takes_a_post_without_a_token(stack):
    shell = ["python", "manage.py", "shell", "--no-imports", "--verbosity", "0", "--command", ADDRESSES]
    addresses = json.loads(stack.compose("exec", "-T", f"web-{stack.slot()}", *shell).stdout)
    assert {"probe:upload", "account_logout", "lab:broadcast-sync"} <= {name for name, _ in addresses}
    with stack.client() as client:
        answers = {name: client.post(path).status_code for name, path in addresses if name not in OPEN}
    assert {name: status for name, status in answers.items() if status != 403} == {}


# --- Sessions


def test_a_session_that_somebody_else_has_chosen_is_not_taken_over(stack, attacker):
    chosen = secrets.token_hex(16)
    with stack.client(cookies={SESSION: chosen}) as client:
        token = token_in(client.get("/accounts/login/").text)
        data = {"login": attacker.name, "password": PASSWORD, "csrfmiddlewaretoken": token}
        assert client.post("/accounts/login/", data=data).status_code == 302
        given = [cookie.value for cookie in client.cookies.jar if cookie.name == SESSION and cookie.domain]
        assert given
        assert chosen not in given
        page = httpx.get(f"{stack.url}/probe/", cookies={SESSION: given[-1]}, timeout=30).text
        assert name_in(page) == attacker.name
    assert name_in(httpx.get(f"{stack.url}/probe/", cookies={SESSION: chosen}, timeout=30).text) is None


def test_a_session_ends_for_good_when_its_owner_signs_out(stack):
    with stack.member() as member:
        session = member.client.cookies[SESSION]
        assert name_in(httpx.get(f"{stack.url}/probe/", cookies={SESSION: session}, timeout=30).text) == member.name
        member.send("/accounts/logout/").raise_for_status()
        assert SESSION not in member.client.cookies
        assert name_in(httpx.get(f"{stack.url}/probe/", cookies={SESSION: session}, timeout=30).text) is None


def test_signing_in_gives_another_session_and_another_token(stack):
    with stack.member() as member:
        first = dict(member.client.cookies)
        member.send("/accounts/logout/").raise_for_status()
        token = token_in(member.client.get("/accounts/login/").text)
        before = member.client.cookies[CSRF]
        data = {"login": member.name, "password": PASSWORD, "csrfmiddlewaretoken": token}
        assert member.client.post("/accounts/login/", data=data).status_code == 302
        assert member.client.cookies[SESSION] != first[SESSION]
        assert member.client.cookies[CSRF] != before
        # A form from before is refused.
        assert member.client.post("/accounts/logout/", data={"csrfmiddlewaretoken": token}).status_code == 403


# --- Where one is led

ELSEWHERE = [
    "https://forged.example/",
    "//forged.example",
    "///forged.example",
    "////forged.example",
    "/\\forged.example",
    "\\\\forged.example",
    "\\/forged.example",
    "/\\/forged.example",
    "https:forged.example",
    "https:/forged.example",
    "https:///forged.example",
    "http:forged.example",
    "http:///forged.example",
    "HTTPS://forged.example",
    "javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,forged",
    "/\t/forged.example",
    "/\n/forged.example",
    "\t//forged.example",
    "\x01//forged.example",
    "\x00//forged.example",
    " //forged.example",
    "\u00a0//forged.example",
    "\u3000//forged.example",
    "/%09/forged.example",
    "/%5cforged.example",
    "%2f%2fforged.example",
    "/%2fforged.example",
    "//forged.example/%2f..",
    "/.//forged.example",
    "/../../forged.example//forged.example",
    "/x/..//forged.example",
    "http://localhost@forged.example",
    "http://localhost\\@forged.example",
    "http://localhost:80\\@forged.example/",
    "//localhost:forged.example",
    "//[::1]@forged.example",
    "https://localhost.forged.example",
    "http://forged.example#localhost",
    "http://forged.example?localhost",
    "http://forged\u3002example",
    "/\r\nLocation: https://forged.example",
    "/\r\nSet-Cookie: forged=1",
    "/ok?next=//forged.example",
]  # fmt: skip


def where_a_browser_goes(site, location):
    """The scheme and host that a browser makes of a Location: it drops control characters, and takes \\ for /."""
    cleaned = re.sub(r"[\t\r\n]", "", location).strip("".join(map(chr, range(33)))).replace("\\", "/")
    # For http and https any number of slashes leads to a host.
    cleaned = re.sub(r"^(https?):/*", r"\1://", cleaned, flags=re.IGNORECASE)
    parts = urlsplit(urljoin(f"{site}/accounts/login/", re.sub(r"^//+", "http://", cleaned)))
    return f"{parts.scheme}://{parts.netloc}"


@pytest.fixture(scope="module")
def leads_away(stack, attacker):
    """Each way in which a visitor is sent on, to an address that the request names: the answer of each."""
    token = token_in(attacker.client.get("/probe/").text)
    # Who is signed in already is sent on at once, by the same code as after signing in.
    members, strangers = attacker.client, stack.client()
    language_token = token_in(strangers.get("/accounts/login/").text)
    language = {"language": "en", "csrfmiddlewaretoken": language_token}
    form = {"csrfmiddlewaretoken": token}
    yield {
        "sign in": lambda to: members.get("/accounts/login/", params={"next": to}),
        "sign in by a form": lambda to: members.post("/accounts/login/", data={**form, "next": to}),
        "sign up": lambda to: members.get("/accounts/signup/", params={"next": to}),
        "sign up by a form": lambda to: members.post("/accounts/signup/", data={**form, "next": to}),
        "language": lambda to: strangers.post("/i18n/setlang/", data={**language, "next": to}),
        "language in the address": lambda to: strangers.post("/i18n/setlang/", params={"next": to}, data=language),
        "language from a page": lambda to: strangers.post(
            "/i18n/setlang/", data=language, headers=[(b"Referer", as_header(to))]
        ),
    }
    strangers.close()


def as_header(text):
    return re.sub(r"[\x00\r\n]", "", text).strip().encode()


WAYS = [
    "sign in",
    "sign in by a form",
    "sign up",
    "sign up by a form",
    "language",
    "language in the address",
    "language from a page",
]


@pytest.mark.parametrize("way", WAYS)
def test_nobody_is_led_to_another_site(stack, leads_away, way):
    found = {}
    for to in ELSEWHERE:
        response = leads_away[way](to)
        location = response.headers.get("Location", "")
        # Nginx refuses control characters in a header.
        refused = response.status_code == 400 and not location
        safe = response.status_code in (302, 303) and where_a_browser_goes(stack.url, location) == stack.url
        if not (refused or safe) or "forged" in response.cookies:
            found[to] = (response.status_code, location)
    assert found == {}


def test_who_signs_in_or_out_is_not_led_to_another_site(stack, attacker):
    with stack.client() as client:
        page = client.get("/accounts/login/", params={"next": "//forged.example"})
        # What was asked for is handed on, to be looked at when the form is sent.
        assert "forged" not in re.sub(r'name="next" value="[^"]*"|\?next=[^"]*"', "", page.text)
        data = {"login": attacker.name, "password": PASSWORD, "csrfmiddlewaretoken": token_in(page.text)}
        response = client.post("/accounts/login/", data={**data, "next": "//forged.example"})
        assert (response.status_code, response.headers["Location"]) == (302, "/")
        data = {"next": "/\\forged.example", "csrfmiddlewaretoken": token_in(client.get("/probe/").text)}
        response = client.post("/accounts/logout/", data=data)
        assert (response.status_code, response.headers["Location"]) == (302, "/")


def test_an_address_of_this_site_is_where_one_is_led(stack, leads_away):
    assert leads_away["sign in"]("/?page=2").headers["Location"] == "/?page=2"
    assert leads_away["language"]("/accounts/signup/").headers["Location"] == "/accounts/signup/"
