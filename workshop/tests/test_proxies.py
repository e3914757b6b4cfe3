"""Whose word the servers take for a visitor's address and scheme, without Nginx."""

import httpx
import pytest

from kit.serving.proxies import ClientAddress
from workshop.tests.servers import EMBEDDED_MODES, serve


@pytest.mark.parametrize(
    ("trusted", "peer", "claimed", "address"),
    [
        ("*", "10.0.0.9", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.0/8", "10.0.0.9", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.0/8", "10.0.0.9", "198.51.100.1, 203.0.113.7, 10.0.0.8", "203.0.113.7"),
        ("10.0.0.0/8,fd00::/8", "fd00::1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.0/8", "192.0.2.1", "203.0.113.7", "192.0.2.1"),
        ("10.0.0.0/8", "", "203.0.113.7", ""),
        ("10.0.0.0/8", "10.0.0.9", "10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ("*", "10.0.0.9", None, "10.0.0.9"),
        ("10.0.0.0/8", "10.0.0.9", "203.0.113.7:1234, 10.0.0.8:80", "203.0.113.7"),
        ("fd00::/8", "fd00::1", "[2001:db8::1]:1234, [fd00::2]:80", "2001:db8::1"),
    ],
)
def test_the_last_address_that_no_trusted_proxy_has_is_the_visitors(trusted, peer, claimed, address):
    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}
    environ |= {"HTTP_X_FORWARDED_FOR": claimed} if claimed else {}
    seen = ClientAddress(lambda environ, start_response: environ["REMOTE_ADDR"], trusted)(environ, None)
    assert seen == address


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def ask(request, tmp_path_factory):
    """Asks a site of https behind a proxy that is trusted, with these lines of X-Forwarded-Proto: the answer."""
    variables = {"SITE_URL": "https://www.example.com", "FORWARDED_ALLOW_IPS": "127.0.0.1"}
    with serve(request.param, tmp_path_factory.mktemp(request.param), **variables) as server:

        def answer(*lines):
            headers = [("Host", "www.example.com"), *(("X-Forwarded-Proto", line) for line in lines)]
            return httpx.get(f"{server.url}/accounts/login/", headers=headers)

        yield answer


@pytest.mark.parametrize(
    "lines", [["https"], ["https,http"], ["https, http"], ["https", "http"], ["https , http", "http"]], ids=str
)
def test_the_first_scheme_counts_and_redirects_nobody_who_came_by_https(ask, lines):
    assert ask(*lines).status_code == 200


@pytest.mark.parametrize("lines", [[], ["http"], ["http,https"], ["http", "https"], ["httpsx"]], ids=str)
def test_who_came_by_http_is_redirected(ask, lines):
    answer = ask(*lines)
    assert (answer.status_code, answer.headers["Location"]) == (301, "https://www.example.com/accounts/login/")
