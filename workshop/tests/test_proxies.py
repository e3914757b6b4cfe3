"""Whose word the servers take for a visitor's address: on the real ones, without Nginx."""

import pytest

from kit.serving.proxies import ClientAddress


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
    ],
)
def test_the_last_address_that_no_trusted_proxy_has_is_the_visitors(trusted, peer, claimed, address):
    environ = {"REMOTE_ADDR": peer, **({"HTTP_X_FORWARDED_FOR": claimed} if claimed else {})}
    seen = ClientAddress(lambda environ, start_response: environ["REMOTE_ADDR"], trusted)(environ, None)
    assert seen == address
