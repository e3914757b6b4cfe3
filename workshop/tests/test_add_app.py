"""`make app` adds an application that is whole: it passes its own tests, and its page is live."""

import importlib.util
import re

import httpx
import pytest

from workshop.tests.copies import Clone
from workshop.tests.servers import EMBEDDED_MODES, ROOT, serve

spec = importlib.util.spec_from_file_location("add_app", ROOT / "kit/add_app.py")
add_app = importlib.util.module_from_spec(spec)
spec.loader.exec_module(add_app)

OF_FILES = (
    "template_holds_no_style_attribute_no_handler_and_no_script_without_a_nonce",
    "script_reads_no_cookie_and_makes_no_code_or_style_of_text",
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    clone = Clone(tmp_path_factory.mktemp("clone"))
    clone.run("make", "app", "NAME=orders")
    clone.run("make", "app", "NAME=people", "ONE=person")
    return clone


def test_two_new_applications_pass_their_own_tests_and_those_of_the_project(clone):
    headers = [f"tests/test_headers.py::test_a_{name}" for name in OF_FILES]
    clone.check("apps/orders", "apps/people", "tests/test_translations.py", *headers)


def test_what_changes_something_is_known_to_the_tests_of_forged_requests(clone):
    listed = clone.python(
        "-m",
        "pytest",
        "-q",
        "--collect-only",
        "tests/stack/test_forgeries.py",
        "-k",
        "no_form_of_another_site and wsgi",
    ).stdout
    assert {"orders:page", "orders:delete", "people:page", "people:delete"} <= set(re.findall(r"-(\w+:\w+)\]", listed))


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_its_page_works_without_javascript_and_its_changes_are_live(clone, tmp_path, mode):
    with serve(mode, tmp_path, root=clone.folder) as server, server.member() as member:
        cursor = re.search(r'data-live-cursor="(\d+)"', member.client.get("/orders/").text)[1]
        page = member.send("/orders/", {"text": "seen by all"}, page="/orders/")
        assert (page.status_code, page.url.path) == (200, "/orders/")
        number = re.search(r'id="item-(\d+)"', page.text)[1]
        address = f"{server.url}/live/orders/changes?after="
        message = httpx.get(f"{address}{cursor}").json()
        assert [(change["id"], "seen by all" in change["html"]) for change in message["changes"]] == [(number, True)]
        member.send(f"/orders/{number}/delete", page="/orders/")
        assert httpx.get(f"{address}{message['cursor']}").json()["changes"] == [{"id": number, "html": None}]
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    ("name", "one", "sentence"),
    [
        ("", "", "can't be the name of an application"),
        ("Orders", "", "can't be the name of an application"),
        ("x y", "", "can't be the name of an application"),
        ("1s", "", "can't be the name of an application"),
        ("../orders", "", "can't be the name of an application"),
        ("o" * 30 + "s", "", "can't be the name of an application"),
        ("people", "Person", "can't be the name of an application"),
        ("order", "", "make app NAME=orders, or say what one of them is called"),
        ("address", "", "is not a plural"),
        ("classes", "", "'class' is a word of Python's own"),
        ("accounts", "", "There is an apps/accounts already."),
        ("sessions", "", "'sessions' is taken by django.contrib.sessions"),
        ("statistics", "statistic", "'statistics' is a Python module already"),
        ("tests", "", "'tests' is a Python module already"),
        ("i18n", "one", "The address /i18n/ is taken"),
        ("errors", "", "The address /errors/ is taken by Nginx"),
    ],
)
def test_a_name_that_would_clash_is_refused(name, one, sentence):
    with pytest.raises(add_app.Refused, match=re.escape(sentence)):
        add_app.check(name, one or add_app.singular(name))


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("orders", "order"),
        ("companies", "company"),
        ("addresses", "address"),
        ("boxes", "box"),
        ("purchase_orders", "purchase_order"),
    ],
)
def test_what_one_of_them_is_called_follows_from_the_name(name, one):
    assert add_app.singular(name) == one


def test_a_refusal_is_one_sentence_and_nothing_is_made(clone):
    before = clone.run("git", "status", "--short").stdout
    result = clone.run("make", "app", "NAME=orders", check=False)
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == "There is an apps/orders already."
    assert "Traceback" not in result.stderr
    assert clone.run("git", "status", "--short").stdout == before
