import pytest

from kit.live import is_our_origin


@pytest.fixture
def site(settings):
    settings.SITE_URLS = ["https://www.example.com", "https://example.org:8443"]


@pytest.mark.parametrize(
    "origin",
    ["https://www.example.com", "https://www.example.com:443", "https://WWW.example.com", "https://example.org:8443"],
)
def test_our_own_pages_are_ours(site, origin):
    assert is_our_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://www.example.com",
        "https://www.example.com:8443",
        "https://example.com",
        "https://example.org",
        "https://localhost",
        "https://www.example.com.evil.example",
        "https://evil.example/https://www.example.com",
        "null",
        "",
        "https://[",
        "https://user@www.example.com",
        "https://www.example.com/path",
        "https://www.example.com:x",
    ],
)
def test_everybody_elses_are_not(site, origin):
    assert not is_our_origin(origin)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machine_has_several_names(settings, host):
    settings.SITE_URLS = ["http://localhost:8080"]
    assert is_our_origin(f"http://{host}:8080")
    assert not is_our_origin(f"http://{host}:8081")
