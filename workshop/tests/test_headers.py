"""What a browser is told about every answer: closed by default. Through real servers, in each mode without Docker."""

import re
import sqlite3

import httpx
import pytest

from workshop.tests.servers import EMBEDDED_MODES, PASSWORD, ROOT, serve

CLOSED = {
    "default-src": "'none'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "object-src": "'none'",
}
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
SIGNED_IN = [
    "/probe/",
    "/admin/",
    "/admin/auth/group/",
    "/admin/auth/group/add/",
    "/admin/accounts/user/",
    "/admin/accounts/user/1/change/",
    "/admin/accounts/user/1/password/",
]
WITH_NONCE = ["/probe/"]
WITHOUT_NONCE = ["/accounts/login/", "/accounts/signup/", "/nothing-here"]


def assert_closed(response):
    """Its headers, and that its page holds nothing which its own policy forbids. The nonce, if it has one."""
    html = response.text
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    nonce = re.search(r'nonce="([^"]*)"', html)
    expected = dict(CLOSED)
    if nonce:
        expected["script-src"] = f"'nonce-{nonce[1]}'"
        expected["style-src"] = f"'self' 'nonce-{nonce[1]}'"
        assert len(nonce[1]) >= 16
    assert policy == expected
    for element in re.findall(r"<(?:script|style)\b[^>]*>", html):
        assert nonce, element
        assert f'nonce="{nonce[1]}"' in element or 'type="application/json"' in element
    assert not re.search(r"<[^>]*\s(?:style|on\w+)=", html)
    assert "javascript:" not in html
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    abilities = response.headers["Permissions-Policy"].split(", ")
    assert {"camera=()", "geolocation=()", "microphone=()", "payment=()"} <= set(abilities)
    assert all(ability.endswith("=()") for ability in abilities)
    return nonce and nonce[1]


@pytest.fixture(scope="module")
def server(notes_server):
    return notes_server


@pytest.fixture(scope="module")
def staff(server):
    with server.member() as member:
        database = sqlite3.connect(server.log.parent / "db.sqlite3", timeout=10)
        with database:
            database.execute(
                "UPDATE accounts_user SET is_staff = 1, is_superuser = 1 WHERE username = ?", (member.name,)
            )
        database.close()
        yield member.client


@pytest.mark.parametrize("path", WITHOUT_NONCE)
def test_a_page_without_scripts_may_run_none(server, path):
    assert assert_closed(httpx.get(f"{server.url}{path}")) is None


@pytest.mark.parametrize("path", WITH_NONCE)
def test_a_page_with_scripts_names_them_with_another_nonce_each_time(server, path):
    assert len({assert_closed(httpx.get(f"{server.url}{path}")) for _ in range(3)} - {None}) == 3


@pytest.mark.parametrize("path", SIGNED_IN)
def test_who_is_signed_in_gets_another_nonce_each_time_too(server, staff, path):
    pages = [staff.get(path) for _ in range(3)]
    assert [page.status_code for page in pages] == [200] * 3
    assert len({assert_closed(page) for page in pages} - {None}) == 3


def test_a_request_that_is_refused_is_answered_with_the_same_headers(server):
    with server.member() as member:
        answers = [
            httpx.get(f"{server.url}/", headers={"Host": "evil.example"}),
            member.client.post("/accounts/logout/"),
            member.send("/nothing-here"),
            # Last: a connection whose request was not read to its end is closed.
            member.send("/accounts/logout/", {"next": "x" * 1_100_000}),
        ]
    assert [answer.status_code for answer in answers] == [400, 403, 404, 413]
    for answer in answers:
        assert_closed(answer)


def test_what_is_polled_has_a_policy_but_no_list_of_abilities(server):
    response = httpx.get(f"{server.url}/live/notes/changes?after=0")
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Permissions-Policy" not in response.headers


@pytest.mark.parametrize("name", ["style.css", "favicon.svg"])
def test_a_static_file_is_closed_too(server, settings, name):
    response = httpx.get(f"{server.url}/static/wisheasy/{name}")
    assert response.status_code == 200
    assert {name: response.headers.get(name) for name in settings.STATIC_HEADERS} == settings.STATIC_HEADERS
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("path", ["/", "/static/wisheasy/style.css", "/nothing-here", "/healthz/live"])
def test_no_version_of_anything_is_told(server, path):
    headers = httpx.get(f"{server.url}{path}").headers
    assert not re.search(r"\d", headers.get("Server", ""))
    assert "X-Powered-By" not in headers


# --- Cookies


def cookies(response):
    """The attributes of each cookie that a response sets, by its name."""
    found = {}
    for header in response.headers.get_list("Set-Cookie"):
        pair, *attributes = header.split("; ")
        found[pair.split("=", 1)[0]] = {each for each in attributes if not each.startswith(("expires", "Max-Age"))}
    return found


def all_cookies(client):
    """Sign up and choose a language; every cookie that was set. What a browser would send is sent by hand: a cookie for
    https alone, which this client has got over http, it would keep to itself."""
    page = client.get("/accounts/signup/")
    set_now = cookies(page)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    client.headers["Cookie"] = "; ".join(header.split(";")[0] for header in page.headers.get_list("Set-Cookie"))
    chosen = client.post("/i18n/setlang/", data={"language": "ko", "next": "/", "csrfmiddlewaretoken": token})
    data = {"username": "somebody", "password1": PASSWORD, "password2": PASSWORD, "csrfmiddlewaretoken": token}
    return {**set_now, **cookies(chosen), **cookies(client.post("/accounts/signup/", data=data))}


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_over_https_a_cookie_is_of_this_host_alone_and_out_of_reach_of_scripts(mode, tmp_path):
    site = "https://www.example.com"
    headers = {"Host": "www.example.com", "X-Forwarded-Proto": "https", "Referer": f"{site}/"}
    with (
        serve(mode, tmp_path, SITE_URL=site, FORWARDED_ALLOW_IPS="127.0.0.1") as server,
        server.client(headers=headers) as client,
    ):
        # The prefix asks for Path=/, Secure and no Domain.
        expected = {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"}
        assert all_cookies(client) == {
            f"__Host-{name}": expected for name in ("sessionid", "csrftoken", "django_language")
        }


def test_over_http_the_names_are_djangos_own(server):
    with server.client() as client:
        expected = {"Path=/", "HttpOnly", "SameSite=Lax"}
        assert all_cookies(client) == {name: expected for name in ("sessionid", "csrftoken", "django_language")}


# --- Our own files

TEMPLATES = sorted([*ROOT.glob("apps/*/templates/**/*.html"), *ROOT.glob("wisheasy/templates/**/*.html")])
SCRIPTS = sorted([*ROOT.glob("apps/*/static/**/*.js"), *ROOT.glob("wisheasy/static/**/*.js")])


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_holds_no_style_attribute_no_handler_and_no_script_without_a_nonce(path):
    text = path.read_text()
    assert re.findall(r"\s(?:style|on\w+)\s*=|javascript:", text) == []
    # A block of data is not run.
    tags = re.findall(r'<(?:script|style)\b(?![^>]*type="application/json").*?>', text)
    assert [tag for tag in tags if "{% csp_nonce_attr %}" not in tag] == []
    # Outside of an expression it is always false, until somebody has asked for it.
    assert "if csp_nonce" not in text


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_reads_no_cookie_and_makes_no_code_or_style_of_text(path):
    assert re.findall(r"document\.cookie|\beval\(|new Function|setAttribute\(.style|cssText", path.read_text()) == []
