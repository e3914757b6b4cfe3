import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.utils import translation
from pytest_django.asserts import assertContains

from apps.wishes.models import Wish


def test_an_address_without_a_page_looks_like_the_rest_of_the_site(cast):
    response = cast.member.client.get("/nothing/here")
    assertContains(response, "There is nothing here", status_code=404)
    assertContains(response, 'class="wordmark"', status_code=404)
    assertContains(response, "member", status_code=404)


def test_an_address_is_not_repeated_unescaped(client, db):
    assert "<script>" not in client.get("/<script>alert(1)</script>").content.decode()


def test_another_language_is_not_asked_of_an_address_that_only_takes_posts(cast, wish):
    response = cast.member.client.post(f"/wishes/{wish.pk}/delete")
    assertContains(response, '<input type="hidden" name="next" value="/">', status_code=403)


@pytest.mark.parametrize("code", ["400", "413", "500"])
def test_a_failure_is_shown_with_no_context_no_database_and_no_collected_files(settings, code):
    manifest = {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": manifest}
    for language in ("en", "ko"):
        with translation.override(language):
            html = render_to_string(f"{code}.html")
        assert f'<html lang="{language}">' in html
        assert 'href="/static/wisheasy/style.css"' in html


def test_a_failing_view_is_answered_in_the_language_of_the_visitor(cast, monkeypatch):
    def fail(*args):
        raise RuntimeError

    monkeypatch.setattr(Wish.objects.all().__class__, "board", fail)
    client = Client(raise_request_exception=False, headers={"Accept-Language": "ko"})
    response = client.get("/")
    assertContains(response, "문제가 생겼습니다", status_code=500)
    assert response["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; ")
