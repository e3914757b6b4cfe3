"""What a visitor gets, asked of real servers in each mode without Docker; and what is said when it is not right."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from kit.live import register, topics
from kit.ops import visitor
from kit.ops.doctor import visits
from kit.ops.management.commands.doctor import examine
from kit.ops.visitor import Visitor, Wrong
from kit.serving.modes import MODES


@pytest.fixture
def server(notes_server):
    return notes_server


@pytest.fixture
def registered(monkeypatch):
    """The topics that this process knows: one that everyone may follow."""
    registered = {}
    for module in (topics, visitor):
        monkeypatch.setattr(module, "REGISTRATIONS", registered)
    register("notes", lambda keys: {}, public=True)
    return registered


@pytest.fixture
def site(server, registered, monkeypatch):
    """That server in the place of Nginx; this process has its settings."""
    address = urlsplit(server.url)
    given = {
        "SITE_URL": f"http://localhost:{address.port}",
        "SERVER_MODE": server.mode,
        "LIVE_TRANSPORTS": MODES[server.mode].live.live_transports,
    }
    for name, value in given.items():
        monkeypatch.setattr(settings, name, value)
    monkeypatch.setattr(visits, "NGINX", "127.0.0.1")
    monkeypatch.setitem(visits.PORTS, "http", address.port)
    return address


@pytest.mark.parametrize("check", [Visitor.check_page, Visitor.check_csrf, Visitor.check_live])
def test_a_server_that_works_passes(site, check):
    assert check(Visitor("127.0.0.1"))


def test_without_a_topic_there_is_nothing_to_open(registered):
    registered.clear()
    assert Visitor("127.0.0.1", 1).check_live() == "no topic is registered"


def test_nginx_passes_when_it_is_this_version_that_answers(site):
    (finding,) = visits.check_nginx()
    assert finding.status == "ok"


def test_another_mode_than_was_released_is_named(site, server, monkeypatch):
    monkeypatch.setattr(settings, "SERVER_MODE", "hybrid")
    (finding,) = visits.check_nginx()
    assert finding.what == (f"Nginx sends visitors to None in {server.mode} mode, and not to None in hybrid mode.")
    assert finding.fix == "make up-hybrid"


def test_a_key_that_the_servers_do_not_have_is_named(site, monkeypatch):
    monkeypatch.setattr(settings, "SECRET_KEY", "another-key-" * 5)
    (finding,) = visits.check_nginx()
    assert finding.what == "The servers have another SECRET_KEY than this container."


def test_what_the_servers_reach_is_told(site):
    assert [finding.status for finding in visits.check_dependencies()] == ["ok"]


@pytest.mark.parametrize(
    ("name", "seen", "what"),
    [
        ("scheme", "http", "Django sees scheme=http, where it is https."),
        ("host", "web-blue", "Django sees host=web-blue, where it is www.example.com."),
        ("client", "172.18.0.5", "Django sees client=172.18.0.5, where it is 172.18.0.9."),
    ],
)
def test_what_django_sees_wrongly_is_named(monkeypatch, name, seen, what):
    monkeypatch.setattr(settings, "SITE_URL", "https://www.example.com")
    right = {"scheme": "https", "host": "www.example.com", "client": "172.18.0.9"}
    assert list(visits._as_django_sees_it(right, "172.18.0.9")) == []
    (finding,) = visits._as_django_sees_it({**right, name: seen}, "172.18.0.9")
    assert (finding.status, finding.what) == ("broken", what)


def test_https_that_is_lost_on_the_way_makes_forms_fail(site, monkeypatch):
    monkeypatch.setattr(settings, "SITE_URL", f"https://localhost:{site.port}")
    with pytest.raises(Wrong, match="returns 403"):
        Visitor("127.0.0.1", site.port, tls=False).check_csrf()


def test_a_socket_that_does_not_open_is_named(site, monkeypatch):
    monkeypatch.setattr(settings, "SITE_URL", "http://evil.example")
    monkeypatch.setattr(settings, "LIVE_TRANSPORTS", ("websocket",))
    with pytest.raises(Wrong, match="does not open"):
        Visitor("127.0.0.1", site.port).check_live()


@pytest.fixture
def private(registered):
    """No topic that anyone could open without an account, or without knowing its parameter."""
    registered.clear()
    register("mine", lambda keys: {}, may_follow=lambda user: False)
    register("rooms/<slug:room>", lambda keys, room: {}, public=True)


def test_where_no_topic_can_be_opened_it_counts_that_a_handshake_is_refused_by_what_speaks_websocket(site, private):
    refused = "404 by what speaks WebSocket" if "websocket" in settings.LIVE_TRANSPORTS else "426"
    assert f"is refused with {refused}" in Visitor("127.0.0.1").check_live()


@pytest.mark.modes("wsgi")
def test_a_refusal_by_a_server_without_websockets_is_named(site, private, monkeypatch):
    monkeypatch.setattr(settings, "LIVE_TRANSPORTS", ("websocket",))
    with pytest.raises(Wrong, match="returns 426 instead of 101"):
        Visitor("127.0.0.1").check_live()


@pytest.mark.modes("asgi")
def test_a_refusal_of_the_origin_is_named(site, private, monkeypatch):
    monkeypatch.setattr(settings, "SITE_URL", "http://evil.example")
    with pytest.raises(Wrong, match="returns 403 instead of 101"):
        Visitor("127.0.0.1").check_live()


def test_where_nobody_listens_that_is_said(monkeypatch):
    monkeypatch.setattr(visits, "NGINX", "127.0.0.1")
    monkeypatch.setitem(visits.PORTS, "http", 1)
    (finding,) = visits.check_nginx()
    assert finding.what.startswith("Nginx does not answer: 127.0.0.1:1 gave no answer")


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "a-strangers"])
def test_whether_the_public_address_leads_here_is_proven(server, monkeypatch, ours):
    monkeypatch.setattr(settings, "SITE_URLS", [server.url])
    # As if it were a public one.
    monkeypatch.setattr(settings, "LOOPBACK_HOSTS", [])
    if not ours:
        monkeypatch.setattr(settings, "SECRET_KEY", "a-strangers-key-" * 5)
    (finding,) = visits.check_public()
    assert finding.status == ("ok" if ours else "broken")


def test_a_check_is_left_out_where_what_it_rests_on_is_broken(monkeypatch):
    made = []

    def breaks():
        made.append("breaks")
        yield visits.broken("It is broken.", "", "")

    def rests_on_it():
        made.append("rests on it")
        yield visits.ok("fine")

    def fails():
        raise RuntimeError("nobody thought of this")
        yield

    checks = {"first": (breaks, ()), "second": (rests_on_it, ("first",)), "third": (rests_on_it, ("second",))}
    monkeypatch.setitem(examine.__globals__["PARTS"], "test", {**checks, "fourth": (fails, ())})
    found = list(examine("test", set()))
    assert made == ["breaks"]
    assert [(name, finding.status) for name, finding in found] == [("first", "broken"), ("fourth", "broken")]
    assert "nobody thought of this" in found[1][1].what
    assert [name for name, _ in examine("test", {"first", "fourth"})] == []


class Gullible(BaseHTTPRequestHandler):
    """Takes every form."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Set-Cookie", "csrftoken=x")
        self.end_headers()
        self.wfile.write(b'<input name="csrfmiddlewaretoken" value="x">')

    def do_POST(self):
        self.send_response(302)
        self.end_headers()

    def log_message(self, *arguments):
        pass


class Files(SimpleHTTPRequestHandler):
    """Has a page that says 404."""

    protocol_version = "HTTP/1.1"


@contextmanager
def visitor_of(handler):
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield Visitor("127.0.0.1", server.server_port, tls=False)
        finally:
            server.shutdown()


def test_a_server_that_takes_a_form_without_its_token_is_named():
    with visitor_of(Gullible) as visitor, pytest.raises(Wrong, match=r"without its token returns 302"):
        visitor.check_csrf()


def test_a_page_that_says_404_does_not_count_as_a_refusal_by_what_speaks_websocket(private, monkeypatch):
    monkeypatch.setattr(settings, "LIVE_TRANSPORTS", ("websocket",))
    with visitor_of(Files) as visitor, pytest.raises(Wrong, match="returns 404 instead of 101"):
        visitor.check_live()
