"""Over https a form has to say which page it comes from, besides its token: a token can be set by whoever answers for
another host of the domain, or by http. Through real servers behind a proxy that holds the certificate."""

import re

import httpx
import pytest

from workshop.tests.servers import EMBEDDED_MODES, serve

SITE = "https://www.example.com"
FOREIGN = {
    "none": {},
    "another-site": {"Referer": "https://forged.example/"},
    "by-http": {"Referer": "http://www.example.com/"},
    "another-port": {"Referer": f"{SITE}:8443/"},
    "a-host-of-the-domain": {"Referer": "https://forged.www.example.com/"},
    "a-name-that-begins-alike": {"Referer": f"{SITE}.forged.example/"},
    "a-name-within-another": {"Referer": f"https://forged.example/{SITE}/"},
    "no-address": {"Referer": "https://["},
    "the-origin-of-another-site": {"Origin": "https://forged.example", "Referer": f"{SITE}/"},
    "no-origin": {"Origin": "null", "Referer": f"{SITE}/"},
}


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def form(request, tmp_path_factory):
    """Sends the form of a page, with its token and cookie, and with these headers: the answer."""
    folder = tmp_path_factory.mktemp(request.param)
    with serve(request.param, folder, SITE_URL=SITE, FORWARDED_ALLOW_IPS="127.0.0.1") as server:
        proxied = {"Host": "www.example.com", "X-Forwarded-Proto": "https"}
        page = httpx.get(f"{server.url}/accounts/login/", headers=proxied)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
        # A cookie for https alone, which a client would not send here by itself.
        proxied["Cookie"] = page.headers["Set-Cookie"].split(";")[0]
        data = {"language": "ko", "next": "/", "csrfmiddlewaretoken": token}
        yield lambda headers: httpx.post(f"{server.url}/i18n/setlang/", data=data, headers=proxied | headers)


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_a_form_from_elsewhere_is_refused(form, headers):
    answer = form(headers)
    assert answer.status_code == 403
    assert "language" not in answer.headers.get("Set-Cookie", "")


@pytest.mark.parametrize(
    "headers", [{"Referer": f"{SITE}/accounts/login/"}, {"Origin": SITE}], ids=["referer", "origin"]
)
def test_a_form_of_our_own_is_taken(form, headers):
    assert form(headers).status_code == 302
