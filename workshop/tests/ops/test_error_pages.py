import re

import pytest
from allauth.account.views import SignupView
from django.template.loader import render_to_string
from django.test import Client
from django.utils import translation
from pytest_django.asserts import assertContains

from apps.accounts.models import User


def test_an_address_without_a_page_looks_like_the_rest_of_the_site(client, db):
    client.force_login(User.objects.create_user("member"))
    response = client.get("/nothing/here")
    assertContains(response, "There is nothing here", status_code=404)
    assertContains(response, 'class="wordmark"', status_code=404)
    assertContains(response, "member", status_code=404)


def test_an_address_is_not_repeated_unescaped(client, db):
    assert "<script>" not in client.get("/<script>alert(1)</script>").content.decode()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a=1&" * 1100, "application/x-www-form-urlencoded"),
        (b"a" * 2_000_000, "application/x-www-form-urlencoded"),
        (b"a", "multipart/form-data"),
        (b"\xff", "application/x-www-form-urlencoded; charset=utf-16"),
    ],
    ids=["of-too-many-fields", "too-large", "without-a-boundary", "in-another-encoding"],
)
def test_a_form_that_cannot_be_read_is_no_failure_where_there_is_no_page(db, body, content_type):
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.get("/nothing/here")
    response = client.generic("POST", "/nothing/here", body, content_type)
    assertContains(response, "There is nothing here", status_code=404)


def test_another_language_can_be_chosen_where_there_is_no_page(db):
    client = Client(enforce_csrf_checks=True)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/nothing/here").text)[1]
    response = client.post("/i18n/setlang/", {"language": "ko", "csrfmiddlewaretoken": token})
    assert response.cookies["django_language"].value == "ko"


@pytest.mark.parametrize("code", ["400", "413", "500"])
def test_a_failure_is_shown_with_no_context_no_database_and_no_collected_files(settings, code):
    manifest = {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": manifest}
    for language in ("en", "ko"):
        with translation.override(language):
            html = render_to_string(f"{code}.html")
        assert f'<html lang="{language}">' in html
        assert 'href="/static/wisheasy/style.css"' in html


def test_a_failing_view_is_answered_in_the_language_of_the_visitor(db, monkeypatch):
    def fail(*args):
        raise RuntimeError

    monkeypatch.setattr(SignupView, "get", fail)
    client = Client(raise_request_exception=False, headers={"Accept-Language": "ko"})
    response = client.get("/accounts/signup/")
    assertContains(response, "문제가 생겼습니다", status_code=500)
    assert response["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; ")
