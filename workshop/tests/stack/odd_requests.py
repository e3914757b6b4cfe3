"""Draws requests that no browser would send. The same seed draws the same ones."""

import random
import re
from dataclasses import dataclass

# Of so many one is not even a request, or one whose end cannot be told.
BROKEN = 8


@dataclass(frozen=True)
class Shot:
    data: bytes
    marker: bytes
    # Whose session it carries, None for nobody's.
    name: bytes | None
    to_head: bool = False
    broken: bool = False


@dataclass(frozen=True)
class Sender:
    """Who has a session, or at least a token."""

    name: bytes | None
    cookies: str
    token: str


class Generator:
    """Draws requests: a line, headers and a body, each of which is right or odd in a way of its own. None signs out, or
    posts what could be saved."""

    METHODS = (
        *3 * ["GET"], *2 * ["POST"], "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "FOO", "PROPFIND",
    )  # fmt: skip
    PATHS = (
        *10 * ["/probe/"], "/", "/accounts/login/", "/accounts/signup/", "/i18n/setlang/", "/admin/",
        "/admin/login/", "/admin/accounts/user/", "/admin/accounts/user/1/change/", "/admin/jsi18n/", "/admin/r/1/1/",
        "/admin/account/", "/probe/sign-in", "/probe/upload", "/probe/slow?seconds=1e308",
        "/probe/0/delete", "/probe/999999/delete", "/probe/9223372036854775808/delete",
        "/probe/99999999999999999999999999/delete", "/probe/-1/delete", "/probe/1e3/delete", "/probe/\u0661/delete",
        f"/probe/{'9' * 5000}/delete", "/live/probe/changes", "/live/probe/ws", "/live/probe/changes/",
        "/live/nothing/changes", "/live/nothing/ws", "/live/nothing/events", "/live/", "/live/no%00thing/changes",
        "/lab/",
        "/healthz/live", "/healthz/ready", "/healthz/", "/static/wisheasy/style.css", "/static/nothing",
        "/static/..%2f", "/errors/unavailable.html", "//", "/%00", "/%ff%fe", "/%F0%9F%A6%84", "/%ed%a0%80",
        "/accounts//login/", "/accounts/login/", "/a" * 500, "/%2e%2e/", "/favicon.ico",
        "/.well-known/security.txt", "/;a=b", "/?", "/#",
    )  # fmt: skip
    KEYS = ("page", "after", "wait", "next", "language", "q", "o", "p", "_popup", "", "text", "%00", "[]", "__proto__")
    VALUES = (
        "", "0", "1", "-1", "26", "99999999999999999999", "1e308", "NaN", "0x10", "%00", "%ff", "%ed%a0%80", "%u0041",
        "%", "%%", "%zz", "last", "ko", "en", "../../", "//forged.example", "%0d%0aSet-Cookie:%20a=b", "'%20OR%201=1--",
        "%3Cscript%3E", "{{7*7}}", "${7*7}", "%25n%25n", "%F0%9F%A6%84", "a" * 3000, "\u0661", "%c0%af", "9" * 19,
    )  # fmt: skip
    HEADERS = {
        "Accept": ("application/json", "*/*;q=9", "\xff", "a" * 3000),
        "Accept-Encoding": ("identity", "x", "identity;q=0"),
        "Accept-Language": ("ko", "ko;q=x", "*", "a-" * 100, "\xff\xfe", ";;;,,,", "x" * 3000, "../../x", "zh-\u0661"),
        "Authorization": ("Basic Og==", "Basic \xff", "Bearer x", "Digest username="),
        "Connection": ("Upgrade", "keep-alive, Upgrade", "Content-Length", "Cookie"),
        "Content-Type": (
            "application/json", "application/json; charset=\x7f", "application/x-www-form-urlencoded; charset=nothing",
            "application/x-www-form-urlencoded; charset=utf-7", "multipart/form-data", "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\xff", "text/plain; charset=utf-16", "\xff", ";", "a" * 3000,
        ),
        "Expect": ("100-continue",),
        "Host": ("forged.example", "localhost", "[::1]", "127.0.0.1", "LOCALHOST", "localhost."),
        "HTTP2-Settings": ("AAMAAABkAAQAAP__",),
        "If-Modified-Since": ("yesterday", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 32 Foo 99999 25:61:61 GMT", "\xff"),
        "If-None-Match": ("*", "W/", '"', 'W/"0-0-en"', "\xff", '"a",' * 300),
        "Last-Event-ID": ("-1", "x", "\xff", "9" * 30),
        "Origin": ("null", "http://[", "\xff", "http://localhost:99999999", "http://localhost:x", "//"),
        "Range": ("bytes=0-", "bytes=-1", "bytes=5-1", "bytes=0-0,1-1,2-2", "bytes=9999999999999999999999-"),
        "Referer": (
            "http://[", "\xff", "//", "javascript:", "http://localhost:999999/", "http://localhost\u0661/", "a" * 3000,
        ),
        "Sec-WebSocket-Key": ("x", "dGhlIHNhbXBsZSBub25jZQ=="),
        "Sec-WebSocket-Protocol": ("a" * 3000, "\xff"),
        "Sec-WebSocket-Version": ("13", "x", "0"),
        "Upgrade": ("websocket", "h2c", "\xff"),
        "X-CSRFToken": ("x", "a" * 64, "\xff" * 32, ""),
        "X-Forwarded-For": ("203.0.113.7", "::", "\xff", "a," * 500),
        "X-Forwarded-Host": ("forged.example", "[", "\xff"),
        "X-Forwarded-Proto": ("https", "\xff"),
        "X-Requested-With": ("XMLHttpRequest",),
        "X-Long": ("a" * 7000,),
        "X" * 200: ("a",),
    }  # fmt: skip
    COOKIES = (
        "sessionid=", "sessionid=x", "sessionid=\xff", 'sessionid="aaaaaaaa\\000"', 'sessionid="\\"',
        "sessionid=" + "a" * 3000, "sessionid=a; sessionid=b", 'csrftoken="\\000\\000"', "csrftoken=x", "csrftoken=",
        "csrftoken=" + "\u0661" * 32, "django_language=ko", "django_language=\xff", 'django_language="\\000"',
        "django_language=../../x", "messages=x", 'messages="[[\\"__json_message\\"]]"', "=", ";", ";;=;", "a=b;" * 500,
        "__proto__=x", "$Version=1",
    )  # fmt: skip
    BODIES = (
        b"", b"text=", b"text=" + b"a" * 400, b"text=%00" * 300, b"text=%ff%fe&text=" + b"x" * 300, b"&" * 1500,
        b"a=1&" * 1200, b"=" * 3000, b"%" * 3000, "text=\u0661".encode("utf-16") * 200, b"\xff\xfe\x00",
        b"username=&password=", b"username=%00&password=", b"username=a&password1=b&password2=c",
        b"language=%00&next=%00", b"language=ko&next=%ff", b"{", b"[]", b"null", b"NaN", b'{"text": 1}',
        b'{"text": "' + b"a" * 400 + b'"}', b'{"text": "\\ud800' + b"a" * 300 + b'"}', b"[" * 5000, b'{"a":' * 3000,
        b"1" * 5000, b"--x\r\nContent-Disposition: form-data; name=text\r\n\r\n\r\n--x--",
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="../../x"\r\n\r\n\x00\r\n--x--',
    )  # fmt: skip
    TYPES = ("application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=x")
    NOISE = ("", "\xff", "%2f", "%5c", "//", "+", "|", '"', "<")

    def __init__(self, seed: int, port: int, senders: list[Sender]):
        self.random = random.Random(seed)
        self.port = port
        self.senders = senders

    def shot(self) -> Shot:
        pick, chance = self.random.choice, self.random.random
        sender = pick(self.senders)
        marker = f"m{self.random.getrandbits(48):012x}z"
        method = pick(self.METHODS)
        path = pick(self.PATHS) if chance() < 0.9 else self.noise(pick(self.PATHS))
        query = "&".join([marker, *(f"{pick(self.KEYS)}={pick(self.VALUES)}" for _ in range(self.random.randrange(3)))])
        headers = {"Host": f"localhost:{self.port}", "Cookie": sender.cookies}
        name = sender.name
        for each in self.random.sample(sorted(self.HEADERS), self.random.choice((0, 0, 1, 1, 2, 4))):
            headers[each] = pick(self.HEADERS[each])
        if chance() < 0.15:
            headers["Cookie"], name = pick(self.COOKIES), None
        body = b""
        if method not in ("GET", "get", "HEAD", "OPTIONS") or chance() < 0.1:
            body = pick(self.BODIES)
            headers.setdefault("Content-Type", pick(self.TYPES))
            # In half of them, or every one would be refused before anything is read.
            if chance() < 0.5:
                headers["X-CSRFToken"] = sender.token
        # The query first: its marker is in whatever the page says of its own address.
        lines = [f"{method} {path}?{query} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
        if body and chance() < 0.2:
            lines.append("Transfer-Encoding: chunked")
            body = b"".join(self.chunks(body))
        else:
            lines.append(f"Content-Length: {len(body)}")
        data = "\r\n".join([*lines, "", ""]).encode("utf-8" if chance() < 0.5 else "latin-1", "replace") + body
        if self.random.randrange(BROKEN) == 0:
            return Shot(self.break_it(data), marker.encode(), name, broken=True)
        return Shot(data, marker.encode(), name, to_head=method == "HEAD")

    def noise(self, text: str) -> str:
        """`text` with some of its characters encoded, doubled, or exchanged for others that a request line may hold."""
        changed = list(text)
        for _ in range(self.random.randrange(1, 4)):
            at = self.random.randrange(len(changed))
            encoded = f"%{self.random.randrange(256):02x}"
            changed[at] = self.random.choice((encoded, changed[at] * 2, *self.NOISE))
        return "/" + "".join(changed).lstrip("/")

    def chunks(self, body: bytes):
        while body:
            size = self.random.randrange(1, len(body) + 1)
            yield f"{size:x}{self.random.choice(('', ';a=b', ';' + 'x' * 50))}\r\n".encode() + body[:size] + b"\r\n"
            body = body[size:]
        yield b"0\r\n\r\n"

    def break_it(self, data: bytes) -> bytes:
        way = self.random.randrange(6)
        if way == 0:  # Cut off.
            return data[: self.random.randrange(1, len(data))]
        if way == 1:  # A length that is wrong.
            wrong = str(self.random.choice((-1, 0, 1, 10**6, 10**20, "", "x", "0x10", "1, 2"))).encode()
            return re.sub(rb"Content-Length: \d+", b"Content-Length: " + wrong, data)
        if way == 2:  # Nothing of HTTP.
            return self.random.randbytes(self.random.randrange(1, 400)) + b"\r\n\r\n"
        if way == 3:  # Lines in another order, or twice.
            lines = data.split(b"\r\n")
            return b"\r\n".join(self.random.choices(lines, k=len(lines)) if len(lines) > 1 else lines)
        changed = bytearray(data)
        for _ in range(self.random.randrange(1, 8)):
            at = self.random.randrange(len(changed))
            if way == 4:  # Other bytes.
                changed[at] = self.random.randrange(256)
            else:  # More of them, or fewer.
                changed[at : at + self.random.randrange(3)] = self.random.randbytes(self.random.randrange(3))
        return bytes(changed)
