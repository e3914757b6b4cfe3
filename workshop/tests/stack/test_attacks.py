"""What a client tries who wants more than it is due, as bytes sent to Nginx: forged headers, requests hidden in others,
paths that lead out of the static files, WebSockets from foreign pages. Forms and sessions are in test_forgeries.py."""

import re
import secrets

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .conftest import eventually
from .wire import Wire


def new_marker():
    return f"m{secrets.token_hex(8)}"


def request_line(stack, line, headers="", body=b""):
    return f"{line}\r\nHost: localhost:{stack.port}\r\n{headers}\r\n".encode("latin-1") + body


def own_answer(stack, wire, path="/accounts/login/"):
    """Is the next request of this connection answered with its own page? Pages name the address they were asked by."""
    marker = new_marker()
    wire.send(request_line(stack, f"GET {path}?{marker} HTTP/1.1"))
    answer = wire.answer()
    return answer is not None and re.findall(r"m[0-9a-f]{16}", answer.text) == [marker]


def log_of(stack, *services, holding):
    """The end of their logs; nothing if this is not in it."""
    log = stack.compose("logs", "--no-log-prefix", "--tail", "400", *services).stdout
    return log if holding in log else ""


# --- What a client says about itself

FORGED = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "forged.example",
    "X-Forwarded-Port": "4443",
    "X-Forwarded-Protocol": "ssl",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Server": "forged.example",
    "X-Original-URL": "/admin/",
    "X-Rewrite-URL": "/admin/",
    "X-Real-IP": "203.0.113.7",
    "True-Client-IP": "203.0.113.7",
    "X-Client-IP": "203.0.113.7",
    "Forwarded": "for=203.0.113.7;proto=https;host=forged.example",
    "X-Request-ID": "forged-request-id",
    "X-Script-Name": "/forged",
    "Script-Name": "/forged",
    "Remote-User": "admin",
    "Proxy": "http://forged.example",
}


# Of an application, and of the accounts; a topic of an application's.
PAGES = ("/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/probe/", "/live/lab/changes?after=0")


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_header_changes_nothing(stack, name):
    # With a secure connection Django would ask a form for a Referer, and refuse it.
    assert post_without_referer(stack, **{name: FORGED[name]}).status_code == 302
    for page in PAGES:
        before, after = get(stack, page), get(stack, page, **{name: FORGED[name]})
        assert (after.status_code, after.headers.keys()) == (before.status_code, before.headers.keys()), page
        assert without_tokens(after.text) == without_tokens(before.text)
        assert "forged" not in str(after.headers)


def test_headers_forged_in_every_spelling_at_once_reach_neither_answers_nor_logs(stack):
    marker, forged = new_marker(), new_marker()
    values = {name: value.replace("forged", forged) for name, value in FORGED.items()}
    headers = [(spelling(name), value) for name, value in values.items() for spelling in SPELLINGS]
    response = httpx.get(f"{stack.url}/accounts/login/?{marker}", headers=headers, timeout=30)
    assert response.status_code == 200
    assert httpx.get(f"{stack.url}/nothing-{marker}", headers=headers, timeout=30).status_code == 404
    log = eventually(lambda: log_of(stack, "nginx", *stack.serving(), holding=marker))
    for told in (response.text, str(response.headers), log):
        assert forged not in told
        assert "203.0.113.7" not in told


# Nginx drops a name with an underscore, which a server would take for the same header.
SPELLINGS = (str, str.upper, lambda name: name.replace("-", "_"))


def test_django_sees_who_really_asks_and_how(stack):
    """Which it tells whoever proves to know SECRET_KEY (kit/ops/health.py)."""
    code = "from kit.ops import health; print(health.proof())"
    shell = stack.compose(
        "exec", "-T", f"web-{stack.slot()}", "python", "manage.py", "shell", "--no-imports", "-c", code
    )
    agent = new_marker()
    forged = [(spelling(name), value) for name, value in FORGED.items() for spelling in SPELLINGS]
    headers = [*forged, ("X-Doctor", shell.stdout.strip()), ("User-Agent", agent)]
    seen = httpx.get(f"{stack.url}/healthz/ready", headers=headers, timeout=30).json()["request"]
    log = eventually(lambda: log_of(stack, "nginx", holding=agent))
    client = re.search(rf'"client":"([^"]+)".*"agent":"{agent}"', log)[1]
    assert seen == {"scheme": "http", "client": client, "host": f"127.0.0.1:{stack.port}"}
    assert client != "203.0.113.7"


@pytest.mark.parametrize(
    "host",
    [
        "forged.example",
        "localhost.forged.example",
        "forged-localhost",
        "localhost@forged.example",
        "localhost:8080@forged.example",
        "localhost, forged.example",
        "localhost/forged",
        "localhost:port",
        "127.0.0.1.forged.example",
        "[::1].forged.example",
        "[::1",
        "..",
        "*",
        "{{7*7}}",
    ],
)
def test_a_forged_host_is_refused(stack, host):
    with Wire(stack.port) as wire:
        wire.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = wire.answer()
    # 444: closed without an answer.
    assert answer is None or answer.status in (400, 421)
    assert answer is None or "forged" not in answer.text


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: forged.example\r\n",
        "GET / HTTP/1.1\r\nHost: forged.example\r\nHost: localhost\r\n",
        "GET http://forged.example/ HTTP/1.1\r\nHost: localhost\r\n",
    ],
    ids=["none", "empty", "a-second-one", "a-first-one", "another-in-the-address"],
)
def test_a_host_in_doubt_is_refused(stack, head):
    with Wire(stack.port) as wire:
        wire.send(f"{head}\r\n".encode())
        answer = wire.answer()
    assert answer is None or answer.status in (400, 421)


def test_the_host_in_an_absolute_address_is_the_one_that_counts(stack):
    with Wire(stack.port) as wire:
        wire.send(
            f"GET http://localhost:{stack.port}/accounts/login/ HTTP/1.1\r\nHost: forged.example\r\n\r\n".encode()
        )
        answer = wire.answer()
    assert answer.status == 200
    assert "forged" not in answer.text


def get(stack, page, **headers):
    return httpx.get(f"{stack.url}{page}", headers=headers, timeout=30)


def post_without_referer(stack, **headers):
    with stack.client() as client:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/accounts/login/").text)[1]
        data = {"language": "en", "next": "/", "csrfmiddlewaretoken": token}
        return client.post("/i18n/setlang/", data=data, headers=headers)


def without_tokens(html):
    return re.sub(r'(csrfmiddlewaretoken" value=|nonce=)"[\w-]+"', "", html)


# --- Requests within requests


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


END = b"0\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"


def smugglers(hidden):
    """Headers and a body of a POST by which two servers may differ over where it ends. `hidden`: what then begins."""
    short, long = "Content-Length: 4\r\n", f"Content-Length: {len(hidden)}\r\n"
    cut_off = f"Content-Length: {len(END + hidden)}\r\n"
    return {
        "CL.TE": (f"{cut_off}{CHUNKED}", END + hidden),
        "TE.CL": (f"{CHUNKED}{short}", chunk(hidden) + END),
        "two-lengths": (f"Content-Length: 0\r\n{long}", hidden),
        "two-lengths-the-other-way": (f"{long}Content-Length: 0\r\n", hidden),
        "the-same-length-twice": (f"{long}{long}", hidden),
        "a-list-of-lengths": (f"Content-Length: 0, {len(hidden)}\r\n", hidden),
        "a-length-with-a-plus": (f"Content-Length: +{len(hidden)}\r\n", hidden),
        "a-negative-length": ("Content-Length: -1\r\n", hidden),
        "a-length-in-hex": (f"Content-Length: 0x{len(hidden):x}\r\n", hidden),
        "a-length-with-a-space": ("Content-Length: 0 0\r\n", hidden),
        "a-length-with-an-underscore": (f"Content-Length: {len(hidden)}_0\r\n", hidden),
        "a-length-beyond-64-bits": (f"Content-Length: {2**64}\r\n", hidden),
        "an-empty-length": ("Content-Length:\r\n", hidden),
        "a-length-in-other-digits": ("Content-Length: \xb2\r\n", hidden),
        "a-space-before-the-colon": (f"Transfer-Encoding : chunked\r\n{cut_off}", END + hidden),
        "a-space-before-the-colon-of-the-length": (f"Content-Length : {len(hidden)}\r\n", hidden),
        "a-folded-header": (f"X-Folded: a\r\n {CHUNKED}{cut_off}", END + hidden),
        "a-folded-encoding": (f"Transfer-Encoding:\r\n chunked\r\n{cut_off}", END + hidden),
        "a-folded-length": (f"Content-Length:\r\n {len(hidden)}\r\n", hidden),
        "xchunked": (f"Transfer-Encoding: xchunked\r\n{cut_off}", END + hidden),
        "chunked-identity": (f"Transfer-Encoding: chunked, identity\r\n{cut_off}", END + hidden),
        "identity": (f"Transfer-Encoding: identity\r\n{cut_off}", END + hidden),
        "chunked-in-quotes": (f'Transfer-Encoding: "chunked"\r\n{cut_off}', END + hidden),
        "chunked-twice": (f"{CHUNKED}{CHUNKED}{cut_off}", END + hidden),
        "chunked-and-another": (f"{CHUNKED}Transfer-Encoding: x\r\n{cut_off}", END + hidden),
        "an-empty-encoding": (f"Transfer-Encoding:\r\n{cut_off}", END + hidden),
        "chunked-after-a-tab": (f"Transfer-Encoding:\tchunked\r\n{cut_off}", END + hidden),
        "chunked-after-a-vertical-tab": (f"Transfer-Encoding: \x0bchunked\r\n{cut_off}", END + hidden),
        "an-underscore-for-a-hyphen": (f"Transfer_Encoding: chunked\r\n{cut_off}", END + hidden),
        "nul-in-a-name": (f"Transfer-Encoding\0: chunked\r\n{cut_off}", END + hidden),
        "nul-in-a-value": (f"X-Nul: \0\r\n{cut_off}", END + hidden),
        "a-bare-cr": (f"X-Bare: a\rTransfer-Encoding: chunked\r\n{cut_off}", END + hidden),
        "a-bare-lf": (f"X-Bare: a\nTransfer-Encoding: chunked\r\n{cut_off}", END + hidden),
        "a-line-without-a-colon": (f"nonsense\r\n{cut_off}", END + hidden),
        "a-chunk-size-that-is-no-number": (CHUNKED, b"z\r\n" + hidden + b"\r\n" + END),
        "a-negative-chunk-size": (CHUNKED, b"-1\r\n" + hidden + b"\r\n" + END),
        "a-chunk-size-with-0x": (CHUNKED, b"0x1\r\na\r\n" + END + hidden),
        "a-chunk-size-with-a-plus": (CHUNKED, b"+1\r\na\r\n" + END + hidden),
        "a-chunk-size-beyond-64-bits": (CHUNKED, b"10000000000000001\r\na\r\n" + END + hidden),
        "a-chunk-longer-than-it-says": (CHUNKED, b"1\r\n" + hidden + b"\r\n" + END),
        "a-chunk-extension-with-a-line": (CHUNKED, b"1;a\n" + hidden + b"\r\n" + END),
        "a-chunk-that-ends-in-a-bare-lf": (CHUNKED, b"1\na\n0\n\n" + hidden),
        "a-chunk-that-ends-in-nothing": (CHUNKED, b"1\r\na0\r\n\r\n" + hidden),
        "a-trailer-that-looks-like-a-request": (CHUNKED, b"0\r\n" + hidden[: len(hidden) // 2]),
        # Nothing is wrong with these: what has to be thrown away is a body that nobody reads.
        "a-body-that-nobody-reads": (long, hidden),
        "chunks-that-nobody-reads": (CHUNKED, chunk(hidden) + END),
        "a-body-that-is-asked-for": (f"{long}Expect: 100-continue\r\n", hidden),
    }


SMUGGLERS = tuple(smugglers(b""))
# Where a body is read, where none is, and the other upstream.
TARGETS = ("/accounts/login/", "/healthz/live", "/accounts/logout/", "/live/nothing/changes", "/static/nothing.css")


def hidden_request(stack, marker):
    # Twice: the first may be taken for the rest of something.
    line = f"GET /smuggled-{marker} HTTP/1.1\r\nHost: localhost:{stack.port}\r\nX-Ignored: "
    return f"{line}\r\n\r\n".encode() * 2


@pytest.mark.parametrize("target", TARGETS)
def test_no_request_is_hidden_in_another(stack, target):
    """Neither the one who hides it nor anybody else on a kept connection gets an answer that is not theirs, and what
    was hidden never reaches the application, whose log names each address that it does not know."""
    bystanders = [Wire(stack.port) for _ in range(6)]
    assert [own_answer(stack, wire) for wire in bystanders] == [True] * 6
    found = {}
    hidden = {}
    for name in SMUGGLERS:
        marker = hidden[name] = new_marker()
        headers, body = smugglers(hidden_request(stack, marker))[name]
        with Wire(stack.port) as wire:
            wire.send(request_line(stack, f"POST {target} HTTP/1.1", headers, body))
            answer = wire.answer()
            same = answer is None or answer.ends_the_connection or own_answer(stack, wire)
        others = [own_answer(stack, bystanders[n % 6], path) for n, path in enumerate(("/accounts/login/", "/"))]
        bystanders.append(bystanders.pop(0))
        refused = answer is None or 400 <= (answer.status or 0) <= 501
        if not (refused and same and all(others)):
            found[name] = (answer, same, others)
    for wire in bystanders:
        wire.close()
    assert found == {}

    control = new_marker()
    httpx.get(f"{stack.url}/smuggled-{control}")
    log = eventually(lambda: log_of(stack, *stack.serving(), holding=f"/smuggled-{control}"))
    assert [name for name, marker in hidden.items() if f"/smuggled-{marker}" in log] == []


# --- Paths

OUTSIDE = (
    "{up}manage.py",
    "{up}nginx.conf",
    "{up}current/nginx.conf",
    "{up}{up}etc/passwd",
    "{up}{up}{up}{up}{up}{up}etc/passwd",
    "{up}{up}proc/self/environ",
    "wisheasy/{up}{up}server.conf",
)
UPS = (
    "../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "..\\", "%252e%252e%252f", "..%252f", "..%c0%af", "%c0%ae%c0%ae/",
    "..;/", "..%00/", "....//", "..././", ".%2e/", "//../", "./../", "..%ef%bc%8f", "%uff0e%uff0e/",
)  # fmt: skip
PATHS = [
    *(f"/static/{outside.format(up=up)}" for outside in OUTSIDE for up in UPS),
    *(f"/static{up}nginx.conf" for up in UPS),
    *(f"/static/../static{up}nginx.conf" for up in UPS),
    "/static",
    "/static/",
    "/static//",
    "/static/.",
    "/static/..",
    "/static/%00",
    "/static/wisheasy/style.css%00",
    "/static/wisheasy/style.css%00.html",
    "/static/wisheasy/style.css/",
    "/static/wisheasy/style.css/../../../nginx.conf",
    "/static/wisheasy/",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/file:///etc/passwd",
    "/static/" + "a" * 6000,
    "/static/" + "../" * 2000 + "etc/passwd",
    "/static/" + "%2e%2e%2f" * 800 + "etc/passwd",
    "/static/" + "a/" * 3000,
    "/static/" + "a" * 20_000,
    "/STATIC/../nginx.conf",
    "/current/nginx.conf",
    "/blue/static/staticfiles.json",
    "/errors/unavailable.html",
    "/live/../nginx.conf",
    "/healthz/../static/../nginx.conf",
    "//static/..//nginx.conf",
    "/static/~root/.bashrc",
    "/static/.git/config",
    "/static/.env",
    "/.env",
    "/.git/config",
    "/manage.py",
]
# A line of manage.py, of each of Nginx's files, of /etc/passwd, of an environment.
SECRETS = re.compile(r"execute_from_command_line|proxy_pass|worker_processes|root:x:|SECRET_KEY|POSTGRES|\bPATH=")


def test_no_path_leads_out_of_the_static_files(stack):
    lines = [f"GET {path} HTTP/1.1" for path in PATHS]
    lines += [f"GET http://localhost:{stack.port}{path} HTTP/1.1" for path in PATHS if len(path) < 200]
    found = {}
    for line in lines:
        with Wire(stack.port) as wire:
            wire.send(request_line(stack, line))
            answer = wire.answer()
        if answer is None or answer.status not in (400, 403, 404, 414) or SECRETS.search(answer.text):
            found[line[:100]] = answer and (answer.status, answer.text[:200])
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "GET /static/wisheasy/style.css",
        "GET\t/static/wisheasy/style.css HTTP/1.1",
        "GET /static/wisheasy/../../nginx.conf HTTP/1.1 HTTP/1.1",
        "GET static/../nginx.conf HTTP/1.1",
        "GET ../nginx.conf HTTP/1.1",
        "GET * HTTP/1.1",
        "CONNECT localhost:5432 HTTP/1.1",
        "TRACE / HTTP/1.1",
        "GET / HTTP/3.0",
        "GET file:///etc/passwd HTTP/1.1",
        "\0GET / HTTP/1.1",
    ],
)
def test_a_request_line_that_is_none_is_refused(stack, line):
    with Wire(stack.port) as wire:
        wire.send(request_line(stack, line))
        answer = wire.answer()
    # A line without a version is HTTP/0.9, whose answers have no status. It names no host of ours.
    assert answer is None or answer.status in (None, 400, 404, 405, 501, 505)
    assert answer is None or not SECRETS.search(answer.text)


# --- What Nginx answers itself

OURS, FOREIGN = "Host: localhost\r\n", "Host: forged.example\r\n"
# The status, and a request: its line, its headers, its body.
REFUSED = {
    "no-host": (400, "GET / HTTP/1.1", "", ""),
    "a-host-that-is-none": (400, "GET / HTTP/1.1", "Host: a b\r\n", ""),
    "no-http": (400, "\x16\x03\x01", "", ""),
    "a-header-that-is-none": (400, "GET / HTTP/1.1", f"{OURS}X : a\r\n", ""),
    "a-length-that-is-none": (400, "POST / HTTP/1.1", f"{OURS}Content-Length: x\r\n", ""),
    "an-address-that-is-none": (400, "GET /%zz HTTP/1.1", OURS, ""),
    "a-file-that-is-not-there": (404, "GET /static/nothing.css HTTP/1.1", OURS, ""),
    "a-proof-that-is-not-there": (404, "GET /.well-known/acme-challenge/nothing HTTP/1.1", OURS, ""),
    "an-error-page": (404, "GET /errors/refused.html HTTP/1.1", OURS, ""),
    "a-form-for-a-file": (405, "POST {file} HTTP/1.1", f"{OURS}Content-Length: 0\r\n", ""),
    "trace": (405, "TRACE / HTTP/1.1", OURS, ""),
    "connect": (405, "CONNECT localhost:5432 HTTP/1.1", OURS, ""),
    "another-version-of-a-file": (412, "GET {file} HTTP/1.1", f'{OURS}If-Match: "nothing"\r\n', ""),
    "a-large-body": (413, "POST / HTTP/1.1", f"{OURS}Content-Length: 99999999\r\n", ""),
    "a-large-body-for-another-host": (413, "POST / HTTP/1.1", f"{FOREIGN}Content-Length: 99999999\r\n", ""),
    "a-body-for-live": (413, "POST /live/probe/changes HTTP/1.1", f"{OURS}Content-Length: 9\r\n", "x" * 9),
    "a-body-for-events": (413, "POST /live/probe/events HTTP/1.1", f"{OURS}Content-Length: 9\r\n", "x" * 9),
    "a-body-for-health": (
        413,
        "POST /healthz/live HTTP/1.1",
        f"{OURS}{CHUNKED}",
        f"{chunk(b'x' * 99).decode()}0\r\n\r\n",
    ),
    "a-long-address": (414, f"GET /{'a' * 9000} HTTP/1.1", OURS, ""),
    "a-range-that-is-not-there": (416, "GET {file} HTTP/1.1", f"{OURS}Range: bytes=99999999-\r\n", ""),
    "another-host": (421, "GET / HTTP/1.1", FOREIGN, ""),
    "live-of-another-host": (421, "GET /live/probe/changes HTTP/1.1", FOREIGN, ""),
    "a-long-header": (431, "GET / HTTP/1.1", f"{OURS}X: {'a' * 9000}\r\n", ""),
    "a-long-header-for-health": (431, "GET /healthz/live HTTP/1.1", f"{OURS}X: {'a' * 9000}\r\n", ""),
    "an-unknown-encoding": (501, "POST / HTTP/1.1", f"{OURS}Transfer-Encoding: x\r\n", ""),
    "an-unknown-encoding-for-live": (501, "POST /live/probe/changes HTTP/1.1", f"{OURS}Transfer-Encoding: x\r\n", ""),
    "a-version-to-come": (505, "GET / HTTP/3.0", OURS, ""),
}


def assert_is_ours(answer, status, json=False):
    """A page of ours, or JSON, with all headers; and nothing of Nginx's own."""
    assert answer.status == status
    assert "<center>" not in answer.text
    assert ('"error"' in answer.text) if json else ('lang="ko"' in answer.text)
    assert answer.headers["content-type"] == f"{'application/json' if json else 'text/html'}; charset=utf-8"
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


# Nginx is the same in each.
@pytest.mark.modes("wsgi")
@pytest.mark.parametrize("name", REFUSED)
def test_each_error_of_nginx_itself_is_a_page_of_ours_or_json(stack, name):
    status, line, headers, body = REFUSED[name]
    line = line.replace("{file}", "/static/live/live.js")
    with Wire(stack.port) as wire:
        wire.send(f"{line}\r\n{headers}\r\n{body}".encode("latin-1"))
        answer = wire.answer()
    assert_is_ours(answer, status, json=" /live/" in line or " /healthz/" in line)
    if status == 416:
        assert answer.headers["content-range"].startswith("bytes */")


# --- Other pages


def foreign_origins(port):
    return [
        "https://forged.example",
        "null",
        "",
        "file://",
        f"https://localhost:{port}",
        f"ws://localhost:{port}",
        "http://localhost",
        f"http://localhost:{port + 1}",
        f"http://localhost:{port}1",
        f"http://localhost.forged.example:{port}",
        f"http://forged-localhost:{port}",
        f"http://localhost:{port}.forged.example",
        f"http://localhost:{port}@forged.example",
        f"http://forged.example:{port}",
        f"http://forged.example/?http://localhost:{port}",
        f"http://forged.example/#localhost:{port}",
        f"http://localhost%00.forged.example:{port}",
        f"http://localhost\\@forged.example:{port}",
        f"http://[::1:{port}",
        f"http://localhost:{port}, http://forged.example",
        f"http://127.0.0.1.forged.example:{port}",
        f"http://2130706433:{port}",
    ]


@pytest.mark.modes("asgi", "hybrid")
def test_a_websocket_from_a_foreign_page_is_refused(stack):
    for origin in foreign_origins(stack.port):
        with pytest.raises(InvalidStatus) as refusal:
            connect(stack.socket_url(), additional_headers={"Origin": origin})
        assert refusal.value.response.status_code == 403, origin
    with connect(stack.socket_url(), origin=f"http://localhost:{stack.port}") as socket:
        assert "cursor" in socket.recv(timeout=5)


HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
BODIES = {
    "no body": ("", b""),
    "an empty body": ("Content-Length: 0\r\n", b""),
    "a body": ("Content-Length: 5\r\n", b"hello"),
    "chunks": (CHUNKED, chunk(b"hello") + END),
}


@pytest.mark.parametrize(
    "path",
    [
        "/live/probe/ws",
        "/live/probe/changes",
        "/live/nothing/ws",
        "/live/nothing",
        "/",
        "/healthz/live",
    ],
)
def test_a_handshake_that_opens_nothing_is_answered_at_once(stack, path):
    found = {}
    for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS"):
        for name, (header, body) in BODIES.items():
            with Wire(stack.port, timeout=5) as wire:
                wire.send(request_line(stack, f"{method} {path} HTTP/1.1", HANDSHAKE + header, body))
                status = wire.answer(to_head=method == "HEAD").status
            opens = status == 101 and (method, path) == ("GET", f"/live/{stack.topic}/ws") and not body
            if not (opens or status == 200 or 400 <= status < 500):
                found[method, name] = status
    assert found == {}


@pytest.mark.parametrize("path", ["/", "/live/nothing/changes", "/healthz/ready", "/static/wisheasy/style.css"])
def test_no_foreign_page_may_read_an_answer(stack, path):
    for origin in foreign_origins(stack.port)[:3]:
        response = httpx.get(f"{stack.url}{path}", headers={"Origin": origin}, timeout=30)
        assert not [name for name in response.headers if name.startswith("access-control-")]
