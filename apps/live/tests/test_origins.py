import pytest

from apps.live.origins import is_our_origin


@pytest.fixture
def site(settings):
    settings.SITE_URL = "https://www.example.com"
    settings.ALLOWED_HOSTS = ["www.example.com"]


@pytest.mark.parametrize(
    "origin", ["https://www.example.com", "https://www.example.com:443", "https://WWW.example.com"]
)
def test_our_own_pages_are_ours(site, origin):
    assert is_our_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://www.example.com",
        "https://www.example.com:8443",
        "https://example.com",
        "https://www.example.com.evil.example",
        "https://evil.example/https://www.example.com",
        "null",
        "",
        "https://[",
        "https://www.example.com:x",
    ],
)
def test_everybody_elses_are_not(site, origin):
    assert not is_our_origin(origin)
