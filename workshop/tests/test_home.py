"""The first page of a clone without the example, and what every page has around its content."""

from types import ModuleType

import pytest
from pytest_django.asserts import assertContains, assertNotContains

from wisheasy import urls


@pytest.fixture(autouse=True)
def without_the_example(settings):
    own = ModuleType("own")
    patterns = [each for each in urls.urlpatterns if getattr(each, "app_name", "") != "wishes"]
    vars(own).update(vars(urls), urlpatterns=patterns)
    settings.ROOT_URLCONF = own
    # The board's alone.
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "apps.wishes"]


def test_the_first_page_says_that_the_project_runs_and_what_to_do_next(outsider):
    response = outsider.client.get("/")
    assertContains(response, "<h1>It runs</h1>")
    assertContains(response, "make app NAME=")
    assertContains(response, 'href="/accounts/login/"')


def test_its_title_is_the_name_of_the_site_and_that_of_others_ends_in_it(outsider):
    assertContains(outsider.client.get("/"), "<title>wisheasy</title>")
    assertContains(outsider.client.get("/accounts/login/"), "<title>Sign in · wisheasy</title>")


def test_it_knows_who_is_signed_in(member):
    assertContains(member.client.get("/"), '<span class="who" title="member">member</span>')


def test_nothing_on_it_tells_of_servers(outsider):
    assertNotContains(outsider.client.get("/"), "Gunicorn")


def test_a_policy_without_scripts_is_its_own(outsider):
    assert "nonce" not in outsider.client.get("/")["Content-Security-Policy"]


def test_languages_are_a_choice_where_there_are_several(outsider, settings):
    response = outsider.client.get("/")
    assertContains(response, '<button name="language" value="en" lang="en" aria-current="true">English</button>')
    assertContains(response, '<button name="language" value="ko" lang="ko">한국어</button>')
    settings.LANGUAGES = [("en", "English")]
    assertNotContains(outsider.client.get("/"), 'name="language"')


def test_the_language_that_is_chosen_is_that_of_the_next_page(outsider):
    response = outsider.client.post("/i18n/setlang/", {"language": "ko", "next": "/?page=1"})
    assert response["Location"] == "/?page=1"
    assertContains(outsider.client.get("/"), '<html lang="ko">')
    # Not an address that takes POST alone.
    response = outsider.client.get("/no/such/page")
    assertContains(response, '<input type="hidden" name="next" value="/">', status_code=404)


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_it_is_only_read(outsider, method):
    assert getattr(outsider.client, method)("/").status_code == 405
