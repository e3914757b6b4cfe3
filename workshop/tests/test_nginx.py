"""The files in nginx/, held to the code and to each other without starting anything."""

import base64
import hashlib
import json
import re
import runpy
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.urls import reverse

from kit.ops.management.commands import render_nginx
from kit.ops.management.commands.render_nginx import (
    BODIES,
    KEPT_FOR_PROXIES,
    client_address,
    limits,
    site,
    unknown_host,
)
from kit.serving import modes, timeouts

NGINX = Path(__file__).resolve().parent.parent.parent / "nginx"
# As docker/nginx_files fills them in for the slot green.
FILES = {
    str(path.relative_to(NGINX)): re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.MULTILINE).replace("SLOT", "green")
    for path in NGINX.rglob("*.conf")
    if path.parent.name != "site.d"
}
# The server of the site; the others answer unknown hosts and the health check.
SERVER = FILES["server.conf"].split("\n}\n")[0]
WAITING = {
    service: port for port, service in runpy.run_path(str(NGINX.parent / "docker" / "wait.py"))["SERVICES"].items()
}


def with_includes(text):
    """`text` with what its snippets hold in their place, as Nginx reads it."""
    return re.sub(r"include (snippets/\S+);", lambda match: with_includes(FILES[match[1]]), text)


def locations():
    found = re.findall(r"location (.+?) \{(.*?)\}", with_includes(SERVER), re.DOTALL)
    return {name: body for name, body in found}


def proxied():
    return {name: body for name, body in locations().items() if "proxy_pass" in body}


def directives(text, name):
    return re.findall(rf"^\s*{name} ((?:\"[^\"]*\"|[^;\"])+);", text, re.MULTILINE)


def added_headers(location):
    found = (value.removesuffix(" always").split(" ", 1) for value in directives(locations()[location], "add_header"))
    return {name: value.strip('"') for name, value in found}


def test_the_addresses_are_routed():
    passed_to = {name: directives(body, "proxy_pass") for name, body in locations().items()}
    assert passed_to == {
        "/errors/": [],
        "/static/": [],
        "^~ /media/": [],
        "^~ /private-media/": [],
        "/.well-known/acme-challenge/": [],
        "/live/": ["http://live_green"],
        "~ ^/live/.+/events$": ["http://live_green"],
        "/healthz/": ["http://pages_green"],
        "/": ["http://pages_green"],
        "@waiting": ["http://waiting_room"],
    }


@pytest.mark.parametrize(("mode", "row"), modes.MODES.items(), ids=modes.MODES)
def test_pages_and_live_go_to_the_services_that_serve_them_in_this_mode(settings, mode, row):
    live = "web" if row.live == row.pages else "live"
    settings.SLOT, settings.SERVICES = "green", list(dict.fromkeys(["web", live]))
    assert render_nginx.WAITING_ROOM == WAITING
    text = "\n".join(render_nginx.upstreams())
    blocks = dict(re.findall(r"upstream (\w+) \{(.*?)\}", text, re.DOTALL))
    # Each once: what has killed a worker of one is not asked there again.
    assert directives(blocks["pages_green"], "server") == [
        "web-green:8000 resolve max_fails=0", f"waiting-room:{WAITING['web']} resolve max_fails=0 backup"
    ]  # fmt: skip
    assert directives(blocks["live_green"], "server") == [
        f"{live}-green:8000 resolve max_fails=0", f"waiting-room:{WAITING[live]} resolve max_fails=0 backup"
    ]  # fmt: skip
    for name, block in blocks.items():
        # Of the slot's name too: what Nginx knows of its addresses outlasts a reload by it.
        assert directives(block, "zone") == [f"{name} 64k"]
        assert directives(block, "keepalive_timeout") == [f"{timeouts.NGINX_UPSTREAM_IDLE}s"]


def test_what_a_release_waits_for_idle_visitors_is_longer_than_nginx_keeps_their_connections():
    (kept,) = directives(FILES["snippets/limits.conf"], "keepalive_min_timeout")
    waited = re.search(r"^idle_visitors=(\d+)$", (NGINX.parent / "docker/slots.sh").read_text(), re.MULTILINE)[1]
    assert int(kept.removesuffix("s")) < int(waited)


def test_a_client_that_takes_nothing_is_let_go_by_nginx_when_the_server_would():
    assert directives(FILES["snippets/limits.conf"], "send_timeout") == [f"{timeouts.CLIENT_TAKES}s"]


def test_a_reload_lets_a_slow_request_end():
    (patience,) = directives(FILES["nginx.conf"], "worker_shutdown_timeout")
    assert int(patience.removesuffix("s")) >= timeouts.WORKER_TIMEOUT


def test_nginx_closes_idle_connections_before_the_server_does():
    assert timeouts.NGINX_UPSTREAM_IDLE < timeouts.SERVER_KEEPALIVE


@pytest.mark.parametrize("name", proxied())
def test_nginx_outwaits_a_worker_and_a_silent_live_connection(name):
    assert directives(proxied()[name], "proxy_read_timeout") == [f"{timeouts.NGINX_PROXY_READ}s"]
    assert max(timeouts.WORKER_TIMEOUT, 2 * timeouts.LIVE_HEARTBEAT) < timeouts.NGINX_PROXY_READ


@pytest.mark.parametrize("name", proxied())
def test_what_a_client_claims_about_itself_is_overwritten(name):
    headers = dict(value.split(" ", 1) for value in directives(proxied()[name], "proxy_set_header"))
    assert headers["X-Forwarded-For"] == "$remote_addr"
    assert headers["X-Forwarded-Proto"] == "$client_scheme"
    assert headers["X-Forwarded-Host"] == headers["Host"] == "$host$is_request_port$request_port"
    assert headers["X-Request-ID"] == "$request_id"
    assert {name for name, value in headers.items() if value == '""'} >= {
        "Forwarded",
        "X-Forwarded-Ssl",
        "X-Forwarded-Protocol",
    }


def maps():
    """Each map of logs.conf: its variable, and what it turns a value of that into."""
    blocks = re.findall(r"^map \$(\w+) \$(\w+) \{\n(.*?)^\}", FILES["snippets/logs.conf"], re.MULTILINE | re.DOTALL)
    return {result: (source, re.findall(r"^ +'~(.+)' '(.+)';$", body, re.MULTILINE)) for source, result, body in blocks}


def logged(variable, value):
    for pattern, result in maps()[variable][1]:
        if found := re.search(pattern.replace("(?<", "(?P<"), value):
            return result.replace("$logged_path", found.groupdict().get("logged_path", ""))
    return value


@pytest.mark.parametrize("variable", ["logged_uri", "logged_referer"])
@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("/accounts/", "/accounts/"),
        ("/?", "/?[hidden]"),
        ("/accounts/?token=1&token=2?token=3", "/accounts/?[hidden]"),
        ("/reset/MQ/c8x2ab-0123456789abcdef0123456789abcdef/", "/reset/MQ/c8x2ab-[hidden]"),
        ("/reset/MQ/c8x2ab-0123456789abcdef0123456789abcdef?token=1", "/reset/MQ/c8x2ab-[hidden]"),
        ("/%0d%0a?token=1", "/%0d%0a?[hidden]"),
        ("/\xff?token=1", "[unprintable]"),
        ("/\x1b", "[unprintable]"),
    ],
)
def test_of_an_address_the_path_is_logged_and_no_secret(variable, address, line):
    assert logged(variable, address) == line


def test_what_a_client_has_written_is_logged_only_through_its_map():
    (line,) = re.findall(
        r"log_format requests escape=json\s+(.*?);$", FILES["snippets/logs.conf"], re.MULTILINE | re.DOTALL
    )
    variables = set(re.findall(r"\$(\w+)", line))
    assert {"request_id", *maps()} <= variables
    assert {name for name in variables if name.startswith(("http_", "arg", "query", "cookie", "sent_"))} == set()
    assert variables & {"request", "request_uri", "uri", "is_args", "request_body", "remote_user"} == set()
    assert {source for source, _ in maps().values()} == {"request_uri", "http_referer", "http_user_agent", "http_host"}
    assert directives(FILES["nginx.conf"], "error_log") == ["stderr crit"]


def test_no_client_header_is_appended_to():
    assert not [name for name, text in FILES.items() if "proxy_add_x_forwarded_for" in text]


def test_only_a_websocket_is_upgraded_and_a_plain_request_closes_no_connection():
    maps = FILES["snippets/maps.conf"]
    handshake = r'"\$request_method:\$http_upgrade:\$content_length\$http_transfer_encoding"'
    assert re.search(
        rf"map {handshake} \$upgrade \{{\s+default\s+'';\s+~\*\^GET:websocket:0\?\$ websocket;\s+\}}", maps
    )
    assert re.search(r"map \$upgrade \$connection_upgrade \{\s+default\s+'';\s+websocket upgrade;\s+\}", maps)
    for name, body in proxied().items():
        headers = dict(value.split(" ", 1) for value in directives(body, "proxy_set_header"))
        live = "live" in name
        assert headers["Upgrade"] == ("$upgrade" if live else '""')
        assert headers["Connection"] == ("$connection_upgrade" if live else '""')


def test_buffering_is_off_for_event_streams_alone():
    off = [name for name, body in locations().items() if directives(body, "proxy_buffering") == ["off"]]
    assert off == ["~ ^/live/.+/events$"]
    assert "text/event-stream" not in FILES["nginx.conf"]


def test_what_is_the_same_for_everybody_is_compressed_and_pages_are_not():
    compressed = {name for name, body in locations().items() if directives(body, "gzip") == ["on"]}
    assert compressed == {"/live/", "~ ^/live/.+/events$"}
    assert not directives(FILES["nginx.conf"], "gzip")


def test_a_file_has_the_same_headers_from_nginx_as_from_whitenoise(settings):
    added = added_headers("/static/")
    del added["Cache-Control"]
    # Django's own, from SecurityMiddleware.
    assert added.pop("Strict-Transport-Security") == "$hsts"
    assert added == settings.STATIC_HEADERS


def test_an_error_page_of_nginx_has_the_headers_of_a_file_and_may_use_its_own_style_besides(settings):
    hashes = {
        base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        for page in pages().values()
        for style in re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    }
    styles = "".join(f" 'sha256-{each}'" for each in sorted(hashes))
    expected = dict(settings.STATIC_HEADERS)
    first = "default-src 'none';"
    expected["Content-Security-Policy"] = expected["Content-Security-Policy"].replace(
        first, f"{first} style-src{styles};"
    )
    assert added_headers("/errors/").items() >= expected.items()


def test_an_error_page_of_nginx_has_neither_scripts_nor_style_attributes():
    for name, page in pages().items():
        assert not re.search(r"<script|\sstyle=|\son\w+=|javascript:", page), name


def test_a_page_that_waits_for_its_server_loses_none_of_the_other_error_pages():
    def codes(text):
        return {int(code) for value in directives(text, "error_page") for code in re.findall(r"\b(?<!=)\d{3}\b", value)}

    everywhere = codes(with_includes(FILES["snippets/errors.conf"]))
    assert everywhere >= {413, 414, 421, 429, 494, 502, 503, 504}
    assert codes(locations()["/"]) == everywhere


def test_headers_are_added_to_errors_too_but_not_how_long_a_file_is_kept():
    added = [value for body in locations().values() for value in directives(body, "add_header")]
    assert [value for value in added if not value.endswith(" always")] == ["Cache-Control $static_cache_control"]


def test_nginx_adds_no_header_to_what_django_answers():
    assert not [name for name, body in proxied().items() if "add_header" in body]


def test_no_request_that_changes_something_is_sent_twice():
    assert "if ($may_be_done) { return 502; }" in FILES["server.conf"]
    lines = mapped("may_be_done")
    assert (lines.pop("default"), set(lines.values())) == ("1", {"0"})
    # Of each server that was tried, in each block: how many bytes it was sent.
    asked = {"GET 84": True, "HEAD 84, 0": True, "POST 0": True, "POST 0, 0": True}
    asked |= {"POST 84": False, "POST 0, 84": False, "POST 84, 0": False, "POST 10": False, "POST 0 : 84": False}
    for request, again in asked.items():
        assert any(re.search(line.strip('"~'), request) for line in lines) == again, request
    assert all("non_idempotent" not in text for text in FILES.values())
    assert directives(FILES["snippets/proxy.conf"], "proxy_next_upstream") == ["error timeout"]


def test_a_read_that_kills_its_worker_is_sent_twice_at_most():
    assert directives(FILES["snippets/proxy.conf"], "proxy_next_upstream_tries") == ["2"]
    # What the waiting room has passed on is not sent there again.
    been_there = re.search(r'if \(\$upstream_addr ~ "(.*)"\) \{ return 502; \}', FILES["server.conf"])[1]
    for port in WAITING.values():
        assert re.search(been_there, f"172.18.0.5:8000, 172.18.0.6:{port}")
        assert re.search(been_there, f"172.18.0.5:8000, 172.18.0.6:{port}, pages_green")
    for addresses in ("172.18.0.5:8000", "172.18.0.5:8000, pages_green", "[fd00::8001]:8000", ""):
        assert not re.search(been_there, addresses)


def test_djangos_own_error_pages_pass_untouched():
    assert all("proxy_intercept_errors" not in text for text in FILES.values())


def test_the_limit_of_a_body_is_that_of_the_settings(settings):
    settings.LIMIT_UPLOAD = 25
    assert directives("\n".join(limits()), "client_max_body_size") == ["25m"]
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE == 1024 * 1024


def mapped(variable):
    """The lines of the map that gives this variable its value."""
    text = "\n".join([FILES["snippets/limits.conf"], FILES["snippets/maps.conf"], *limits(), *client_address()])
    lines = re.search(rf"map [^{{}}]* \${variable} \{{(.*?)\n\}}", text, re.DOTALL)[1]
    return dict(line.strip(" ;").rsplit(maxsplit=1) for line in lines.strip().splitlines())


def test_each_limit_is_that_of_the_settings_and_0_lifts_it(settings):
    settings.LIMIT_PAGES, settings.LIMIT_SIGN_IN, settings.LIMIT_CONNECTIONS = 7, 3, 11
    settings.LIMIT_LIVE = settings.LIMIT_SIGN_UP = 0
    assert [line.removesuffix(";") for line in limits() if line.startswith("limit")] == [
        "limit_req_zone $pages_client zone=pages:2m rate=7r/s",
        "limit_req zone=pages burst=35 nodelay",
        "limit_req_zone $sign_in_client zone=sign_in:2m rate=3r/m",
        "limit_req zone=sign_in burst=6 nodelay",
        "limit_conn_zone $body_client zone=bodies:2m",
        "limit_conn_zone $pages_client zone=pages_connections:2m",
        "limit_conn pages_connections 11",
        "limit_conn_zone $live_client zone=live_connections:2m",
        "limit_conn live_connections 11",
        f"limit_conn bodies {BODIES}",
    ]
    settings.LIMIT_PAGES = settings.LIMIT_SIGN_IN = settings.LIMIT_CONNECTIONS = 0
    assert [line for line in limits() if line.startswith("limit_req")] == []
    assert [line for line in limits() if line.startswith("limit_conn ")] == []


SIZES = {"k": 1024, "m": 1024**2}


def size(text):
    return int(text[:-1]) * SIZES[text[-1]]


def test_bodies_are_kept_on_the_disk_and_not_in_memory():
    folder = directives(FILES["nginx.conf"], "client_body_temp_path")[0]
    assert f'"bodies:{folder}"' in (NGINX.parent / "docker-compose.yml").read_text()


def test_what_one_client_may_hold_is_far_less_than_there_is(settings):
    nginx = (NGINX.parent / "docker-compose.yml").read_text().split("\n  nginx:\n")[1].split("\n  waiting-room:\n")[0]
    there_is = size(re.search(r"/tmp:size=(\w+)", nginx)[1])
    memory = size(re.search(r"NGINX_MEMORY:-(\w+)", nginx)[1])
    limits = FILES["snippets/limits.conf"]
    (kept_in_memory,) = directives(limits, "client_body_buffer_size")
    # What is not counted as a body fits into a buffer, and pages are counted.
    assert settings.LIMIT_CONNECTIONS * size(kept_in_memory) <= (memory - there_is) / 6
    # Where requests are not counted, there are no bodies.
    for name in ("/live/", "~ ^/live/.+/events$", "/healthz/"):
        assert directives(locations()[name], "client_max_body_size") == ["1"]


@pytest.mark.parametrize(
    ("request_", "counted"),
    [
        ("GET:", False),
        ("HEAD:", False),
        ("POST:0", False),
        ("POST:9999", False),
        ("POST:10000", True),
        ("GET:1000000", True),
        ("POST:chunked", True),
        # HTTP/2 needs no length.
        ("POST:", True),
        ("POST:5chunked", True),
    ],
)
def test_a_body_is_counted_unless_it_fits_into_memory(request_, counted):
    lines = mapped("body_client")
    patterns = [pattern.strip('"').removeprefix("~") for pattern in lines if pattern != "default"]
    assert any(re.search(pattern, request_) for pattern in patterns) != counted
    (buffer,) = directives(FILES["snippets/limits.conf"], "client_body_buffer_size")
    assert size(buffer) >= 9999


def test_what_is_counted_as_a_sign_in_or_a_sign_up_is_where_these_forms_are():
    guessed = ["account_login", "admin:login", "account_reauthenticate", "account_change_password"]
    # The address that a second factor's code or a confirmation's is sent to.
    codes = ["account_confirm_login_code", "account_confirm_reauthentication_code", "account_email_verification_sent"]
    assert counted("sign_in_client") == {reverse(name) for name in guessed + codes}
    mailed = ["account_reset_password", "account_email", "account_request_reauthentication_code"]
    assert counted("sign_up_client") == {reverse(name) for name in ["account_signup", *mailed]}


def counted(clients):
    lines = mapped(clients)
    assert lines.pop("default") == "''"
    assert set(lines.values()) <= {"$client"}
    return {path.strip('"').removeprefix("POST ") for path in lines}


def test_a_project_with_other_forms_or_none_has_those_counted(settings):
    settings.LOGIN_URL = "/members/enter/"
    assert {"/members/enter/", reverse("admin:login")} < counted("sign_in_client")
    settings.LOGIN_URL, settings.SIGN_UP_URL = "no-such-name", None
    assert reverse("account_login") not in counted("sign_in_client")
    assert reverse("account_signup") not in counted("sign_up_client")


@pytest.mark.parametrize(
    ("path", "counted"),
    [
        ("/", "pages"),
        ("/accounts/login/", "pages"),
        ("/statics", "pages"),
        ("/live/notes/changes", "live"),
        ("/static/wisheasy/style.css", None),
        ("/healthz/ready", None),
        ("/.well-known/acme-challenge/token", None),
    ],
)
def test_files_and_probes_are_not_counted_and_live_pages_by_themselves(path, counted):
    for name in ("pages", "live"):
        lines = mapped(f"{name}_client")
        matching = [client for pattern, client in lines.items() if re.search(pattern.removeprefix("~"), path)]
        assert (matching or [lines["default"]]) == ["$client" if name == counted else "''"]


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_every_snippet_and_error_page_that_is_named_exists(text):
    assert [name for name in re.findall(r"include (snippets/\S+);", text) if name not in FILES] == []
    named = re.findall(r"error_page [\d =]+/errors/(\S+);", text)
    both = {name.replace("$errors_as", kind) for name in named for kind in ("html", "json")}
    assert both <= set(dict(render_nginx.error_pages(NGINX)))


def pages():
    return {name: text for name, text in render_nginx.error_pages(NGINX) if name.endswith(".html")}


@pytest.mark.parametrize(
    ("languages", "sections"),
    [
        (["en", "ko"], ["en", "ko"]),
        (["ko", "en"], ["ko", "en"]),
        (["ko"], ["ko"]),
        (["en", "de"], ["en"]),
        (["de"], ["en"]),
    ],
    ids=str,
)
def test_an_error_page_needs_nothing_else_and_speaks_the_languages_of_the_site(settings, languages, sections):
    settings.LANGUAGES = [(code, code) for code in languages]
    assert len(pages()) >= 5
    for html in pages().values():
        assert re.findall(r'(?:src|href)="(?!/?")', html) == []
        assert re.findall(r'lang="(\w+)"', html) == sections
        assert html.count("<h1>") == 1
        assert "$" not in html
        assert "prefers-color-scheme: dark" in html


def test_what_programs_are_answered_in_an_error_is_json():
    texts = {name: json.loads(text) for name, text in render_nginx.error_pages(NGINX) if name.endswith(".json")}
    assert {name.removesuffix(".json") for name in texts} == {name.removesuffix(".html") for name in pages()}
    assert all(set(text) == {"error", "detail"} for text in texts.values())
    assert "<" not in str(texts)
    assert mapped("errors_as") == {"default": "html", "~^/(?:live|healthz)/": "json"}


def test_the_lines_of_a_project_are_inside_of_the_server_of_its_site():
    assert directives(SERVER, "include").count("site.d/*.conf") == 1
    assert sum(text.count("site.d/") for text in FILES.values()) == 1


@pytest.mark.parametrize(
    ("path", "immutable"),
    [
        ("/static/wisheasy/style.35a283677296.css", True),
        ("/static/live/live.min.aa5e12614a28.js", True),
        ("/static/wisheasy/style.css", False),
        ("/static/staticfiles.json", False),
        ("/static/x.35a28367729.css", False),
    ],
)
def test_only_a_name_with_a_hash_is_cached_for_good(path, immutable):
    pattern = re.search(r"'~(\S+)'\s+'public, max-age=31536000, immutable'", FILES["snippets/maps.conf"])[1]
    assert bool(re.search(pattern, path)) == immutable


@pytest.mark.parametrize("server", [site, unknown_host])
@pytest.mark.parametrize("ipv6", [True, False], ids=["ipv6", "no-ipv6"])
def test_each_port_is_open_by_ipv6_too_where_the_kernel_has_it(settings, monkeypatch, server, ipv6):
    def make(family):
        if not ipv6:
            raise OSError(97, "Address family not supported by protocol")
        return socket.socket(socket.AF_INET)

    monkeypatch.setattr(render_nginx, "socket", SimpleNamespace(socket=make, AF_INET6=socket.AF_INET6))
    settings.SITE_URL, settings.HTTP3 = "https://www.example.com", True
    found = [line.removeprefix("listen ") for line in server() if line.startswith("listen ")]
    by_ipv4 = [line for line in found if not line.startswith("[::]:")]
    assert [line.split()[0].rstrip(";") for line in by_ipv4] == ["8080", "8443", "8443"]
    assert sorted(found) == sorted(by_ipv4 + [f"[::]:{line}" for line in by_ipv4] * ipv6)


@pytest.mark.parametrize(
    ("claimed", "scheme"),
    [
        ("https", "https"),
        ("http", "http"),
        ("https,http", "https"),
        ("https, http", "https"),
        ("http, https", "http"),
        (" https , http", "https"),
        ("HTTPS", "https"),
        # Traefik's, of a WebSocket.
        ("wss", "https"),
        ("ws", "http"),
        ("", "$scheme"),
        ("httpsx", "$scheme"),
        (",https", "$scheme"),
    ],
)
def test_of_more_than_one_scheme_the_first_counts_and_only_a_trusted_proxys(settings, claimed, scheme):
    lines = mapped("client_scheme")
    patterns = {re.compile(line.strip('"').removeprefix("~*"), re.IGNORECASE): value for line, value in lines.items()}
    for trusted, expected in (("1", scheme), ("0", "$scheme")):
        found = [value for pattern, value in patterns.items() if pattern.search(f"{trusted}:{claimed}")]
        assert (found or [lines["default"]]) == [expected]


@pytest.mark.parametrize("server", [site, unknown_host])
def test_idle_connections_of_load_balancers_are_theirs_to_close(settings, server):
    kept = f"keepalive_timeout {KEPT_FOR_PROXIES}s;"
    assert KEPT_FOR_PROXIES > 600
    assert kept not in server()
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert kept in server()
