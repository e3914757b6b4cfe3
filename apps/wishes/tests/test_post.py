import json

import pytest
from django.test import Client
from pytest_django.asserts import assertContains

from apps.wishes.models import Wish

OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"
REFUSED = {
    "nothing": "",
    "spaces": " \r\n\t ",
    "invisible": "\N{ZERO WIDTH SPACE}\N{ZERO WIDTH JOINER}",
    "too long": "x" * 281,
    "far too long": "x" * 100_000,
    "NUL": "a\x00b",
    "escape": "a\x1bb",
    "tab": "a\tb",
    "C1 control": "a\x85b",
    "override": f"a{OVERRIDE}b",
    "isolate": "a\N{FIRST STRONG ISOLATE}b",
}
ACCEPTED = {
    "the longest": "x" * 280,
    "280 emoji": "\N{GLOWING STAR}" * 280,
    "lines": "a\nb",
    "Korean": "소원",
    "Arabic": "مرحبا \N{RIGHT-TO-LEFT MARK}!",
    "joined emoji": "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}",
    "HTML": "<b>",
}


@pytest.fixture(params=["form", "json"])
def post(request):
    """Posts a text in each of the two ways."""

    def send(person, text):
        if request.param == "form":
            return person.client.post("/wishes/", {"text": text})
        return person.client.post("/wishes/", {"text": text}, content_type="application/json")

    send.created = 303 if request.param == "form" else 201
    return send


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_a_member_posts_a_wish(cast, post, text):
    assert post(cast.member, text).status_code == post.created
    wish = Wish.objects.get()
    assert (wish.text, wish.owner, wish.granted_at) == (text, cast.member.user, None)


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_a_text_that_is_not_a_wish_is_refused(cast, post, text):
    assert post(cast.member, text).status_code == 422
    assert not Wish.objects.exists()


def test_nobody_posts_without_an_account(cast, post):
    assert post(cast.outsider, "A wish").status_code == 403
    assert not Wish.objects.exists()


def test_spaces_around_a_wish_are_left_out(cast, post):
    post(cast.member, " \n A wish \n ")
    assert Wish.objects.get().text == "A wish"


def test_the_line_breaks_of_browsers_count_once(cast, post):
    assert post(cast.member, "x" * 140 + "\r\n" + "x" * 139).status_code == post.created
    assert Wish.objects.get().text == "x" * 140 + "\n" + "x" * 139


def test_a_posted_form_leads_back_to_the_board(cast):
    response = cast.member.client.post("/wishes/", {"text": "A wish"}, headers={"Referer": "http://testserver/?page=3"})
    assert response["Location"] == "/"


def test_a_refused_form_keeps_what_was_typed_with_the_message_beside_it(cast, wish):
    response = cast.member.client.post("/wishes/", {"text": "<" * 281})
    assertContains(response, "&lt;" * 281, status_code=422)
    assertContains(
        response, '<ul class="errorlist" id="id_text_error"><li>The wish may have at most 280', status_code=422
    )
    assertContains(response, 'aria-invalid="true"', status_code=422)
    assertContains(response, wish.text, status_code=422)


def test_who_is_signed_out_is_told_to_sign_in(cast):
    assertContains(cast.outsider.client.post("/wishes/", {"text": "A"}), 'href="/accounts/login/"', status_code=403)


def test_a_form_without_its_token_is_refused(cast):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(cast.member.user)
    assertContains(strict.post("/wishes/", {"text": "A wish"}), "This form has expired", status_code=403)
    response = strict.post("/wishes/", {"text": "A wish"}, content_type="application/json")
    assert response.status_code == 403
    assert not Wish.objects.exists()


def test_the_address_that_takes_wishes_shows_the_board_to_who_reads_it(cast):
    response = cast.outsider.client.get("/wishes/")
    assert (response.status_code, response["Location"]) == (302, "/")


def test_a_wish_in_json_is_answered_with_its_id(cast):
    response = cast.member.client.post("/wishes/", {"text": "A wish"}, content_type="application/json; charset=utf-8")
    assert response.json() == {"id": Wish.objects.get().pk}


def test_errors_in_json_are_by_field(cast):
    response = cast.member.client.post("/wishes/", {"text": ""}, content_type="application/json")
    assert response.json() == {"errors": {"text": ["Write what you wish for."]}}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"text=A", b"\xff\xfe\xfd", b"[" * 100_000, b'{"text": ' + b"9" * 5000 + b"}"],
    ids=["nothing", "half", "a form", "bytes", "deep", "long number"],
)
def test_a_body_that_is_not_json_is_told_what_a_good_one_is(cast, body):
    # The test client sends no type with an empty body, unless it is given twice.
    json_type = "application/json"
    response = cast.member.client.post("/wishes/", body, content_type=json_type, CONTENT_TYPE=json_type)
    assert response.status_code == 400
    assert response.json() == {"error": 'The body is not JSON: send {"text": "…"}.'}


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "NaN"])
def test_json_that_is_not_an_object_is_told_what_a_good_one_is(cast, body):
    response = cast.member.client.post("/wishes/", body, content_type="application/json")
    assert response.status_code == 400
    assert response.json() == {"error": 'The body is not a JSON object: send {"text": "…"}.'}


@pytest.mark.parametrize("value", [1, True, None, ["A wish"], {}], ids=str)
def test_a_text_that_is_not_a_string_is_an_error_of_its_field(cast, value):
    response = cast.member.client.post("/wishes/", {"text": value}, content_type="application/json")
    assert (response.status_code, list(response.json()["errors"])) == (422, ["text"])


def test_half_of_a_character_is_refused(cast):
    response = cast.member.client.post("/wishes/", '{"text": "a\\ud800"}', content_type="application/json")
    assert response.status_code == 422
    assert "control characters" in json.dumps(response.json())


def test_an_object_without_a_text_is_an_error_of_that_field(cast):
    response = cast.member.client.post("/wishes/", {}, content_type="application/json")
    assert (response.status_code, list(response.json()["errors"])) == (422, ["text"])
