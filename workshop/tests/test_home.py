import pytest
from pytest_django.asserts import assertContains, assertNotContains

from apps.accounts.models import User

pytestmark = pytest.mark.django_db


def test_the_first_page_says_that_the_project_runs_and_what_to_do_next(client):
    response = client.get("/")
    assertContains(response, "<h1>It runs</h1>")
    assertContains(response, "make app NAME=")
    assertContains(response, 'href="/accounts/sign-in"')


def test_it_speaks_korean_to_who_reads_korean(client):
    response = client.get("/", headers={"Accept-Language": "ko"})
    assertContains(response, '<html lang="ko">')
    assertNotContains(response, "It runs")


def test_it_knows_who_is_signed_in(client):
    client.force_login(User.objects.create_user("mina"))
    assertContains(client.get("/"), '<span class="who" title="mina">mina</span>')


def test_a_policy_without_scripts_is_its_own(client):
    assert "nonce" not in client.get("/")["Content-Security-Policy"]


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_it_is_only_read(client, method):
    assert getattr(client, method)("/").status_code == 405
