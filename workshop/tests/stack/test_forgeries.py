"""What somebody else makes a visitor's browser send: forms of other sites, sessions that were chosen beforehand, links
that lead away after signing in."""

import json
import re
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from workshop.tests.followers import cookie, step
from workshop.tests.servers import PASSWORD, Member

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
    member: Member | None = None
    """Another than the victim of all tests."""

    def cookies(self, victim):
        return (self.member or victim).client.cookies if self.by_member else None


def delete_form(victim, attacker):
    number = victim.post("not to be deleted by others")
    return Form(f"/probe/{number}/delete", {}, lambda client: f"post-{number}" not in client.get("/probe/").text)


def post_form(victim, attacker):
    text = f"forged-{secrets.token_hex(6)}"
    return Form("/probe/", {"text": text}, lambda client: text in client.get("/probe/").text)


def conversation(victim, attacker):
    """The path of one between the two."""
    text = f"to talk about, {secrets.token_hex(6)}"
    wishes = attacker.send("/wishes/", {"text": text}).text
    number = re.findall(r"/wishes/(\d+)/", wishes.split(text)[1])[0]
    return victim.send(f"/wishes/{number}/talk").url.path


def talk_form(victim, attacker):
    path, text = conversation(victim, attacker), f"forged-{secrets.token_hex(6)}"
    return Form(path, {"text": text, "token": str(uuid.uuid4())}, lambda client: text in client.get(path).text)


def address_form(victim, attacker):
    address = f"forged-{secrets.token_hex(6)}@example.com"
    data = {"email": address, "action_add": ""}
    return Form("/accounts/email/", data, lambda client: address in client.get("/accounts/email/").text)


def session_of(site, name, password=PASSWORD):
    """Another browser's, which signs in; None if that is not the password."""
    with httpx.Client(base_url=site, timeout=30) as client:
        token = token_in(client.get("/accounts/login/").text)
        client.post("/accounts/login/", data={"login": name, "password": password, "csrfmiddlewaretoken": token})
        return client.cookies.get(SESSION)


def sessions_form(victim, attacker):
    site = victim.client.base_url
    cookies = {SESSION: session_of(site, victim.name)}

    def done(client):
        return name_in(httpx.get(site.join("/probe/"), cookies=cookies, timeout=30).text) is None

    return Form("/accounts/sessions/", {}, done)


def password_form(victim, attacker):
    # Each time another: one can't try it often.
    with httpx.Client(base_url=victim.client.base_url, timeout=30) as client:
        member, chosen = Member(client), secrets.token_urlsafe(16)
    data = {"oldpassword": PASSWORD, "password1": chosen, "password2": chosen}

    def done(client):
        return session_of(client.base_url, member.name, chosen) is not None

    return Form("/accounts/password/change/", data, done, member=member)


# Some addresses that change something: of applications, of Django, of the accounts. `done` says whether it had an
# effect.
FORMS = {
    "probe:page": post_form,
    "probe:delete": delete_form,
    "wishes:talk": talk_form,
    "account_email": address_form,
    "usersessions_list": sessions_form,
    "account_change_password": password_form,
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


def foreign_pages(site):
    host, port = urlsplit(site).hostname, urlsplit(site).port
    return {
        "another site": "https://forged.example",
        "no site": "null",
        "another port": f"http://{host}:{port + 1}",
        "another scheme": f"https://{host}:{port}",
        "a name that begins as ours": f"http://{host}.forged.example:{port}",
        "a name that ends as ours": f"http://forged{host}:{port}",
        "a name that is none": "http://[",
    }


def forgeries(site, data, token, foreign_token):
    """What a request may hold that is sent in the victim's name: keyword arguments of httpx's `request`."""
    good = {**data, "csrfmiddlewaretoken": token}
    claims = {"X-Forwarded-Host": "forged.example", "X-Forwarded-Proto": "https", "Origin": "https://forged.example"}
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
            for page, origin in foreign_pages(site).items()
        },
        "the right token from another site that claims to be this one": {"data": good, "headers": claims},
    }


@pytest.mark.parametrize("name", FORMS)
def test_no_form_of_another_site_has_an_effect(stack, victim, attacker, name):
    form = FORMS[name](victim, attacker)
    with stack.client(cookies=form.cookies(victim)) as client:
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
    with stack.client(cookies=form.cookies(victim)) as client:
        token = token_in(client.get("/probe/" if form.by_member else "/accounts/login/").text)
        good = {**form.data, "csrfmiddlewaretoken": token}
        overrides = {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST", "X-Method-Override": "POST"}
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"):
            # With a token Django's form views take PUT for POST.
            for headers in ({"X-CSRFToken": token} if method != "PUT" else {}, overrides):
                response = client.request(method, form.path, params={**good, "_method": "POST"}, headers=headers)
                assert response.status_code in (200, 302, 400, 403, 405, 422, 429), method
        assert not form.done(client)


@pytest.mark.parametrize("name", FORMS)
def test_the_form_of_our_own_page_has_its_effect(stack, victim, attacker, name):
    """Or the tests above would see nothing where something was done."""
    form = FORMS[name](victim, attacker)
    with stack.client(cookies=form.cookies(victim)) as client:
        token = token_in(client.get("/probe/" if form.by_member else "/accounts/login/").text)
        origin = {"Origin": f"http://localhost:{stack.port}"}
        response = client.post(form.path, data={**form.data, "csrfmiddlewaretoken": token}, headers=origin)
        assert response.status_code in (302, 303)
        assert form.done(client)


@pytest.mark.modes("asgi", "hybrid")
def test_no_page_of_another_site_reads_or_writes_through_a_websocket_in_the_victims_name(stack, attacker):
    with stack.member() as victim:
        number, talk = step(victim, "join", room="forged"), conversation(victim, attacker)
        paths = ["probe/ws", f"letters/{number}/ws", "rooms/forged/ws", f"{talk[1:]}", f"{talk[1:]}/ws", "probe/own/1"]
        statuses = {}
        for path in paths:
            for origin in (stack.url, *foreign_pages(stack.url).values()):
                headers = {"Cookie": cookie(victim), "X-Forwarded-Host": "forged.example"}
                try:
                    with connect(f"ws{stack.url[4:]}/live/{path}", origin=origin, additional_headers=headers):
                        statuses[path, origin] = 101
                except InvalidStatus as refusal:
                    statuses[path, origin] = refusal.response.status_code
    assert statuses == {(path, origin): 101 if origin == stack.url else 403 for path, origin in statuses}


def test_no_upload_of_another_site_is_kept(stack, victim, attacker):
    """As any other form, but with a file in it."""
    count = ["sh", "-c", "find var/media -type f | wc -l"]

    def kept():
        return int(stack.compose("exec", "-T", f"web-{stack.slot()}", *count).stdout)

    before = kept()
    token = token_in(victim.client.get("/probe/").text)
    foreign_token = token_in(attacker.client.get("/probe/").text)
    file = {"files": {"file": ("a.png", b"content")}}
    answers = {
        kind: victim.client.post("/probe/keep", **{**request, **file}).status_code
        for kind, request in forgeries(stack.url, {}, token, foreign_token).items()
        if "data" in request
    }
    assert {kind: status for kind, status in answers.items() if status != 403} == {}
    assert kept() == before
    assert victim.keep("a.png", b"content").status_code == 200
    assert kept() == before + 1


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
