"""`make app` adds an application that is whole, and whose tests go on passing when its model changes."""

import gettext
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import models

from kit import add_app
from workshop.tests.copies import Clone
from workshop.tests.servers import EMBEDDED_MODES, serve

TEXT = r"(?=    text = models)"
FIELDS = r'fields=\["text"'
PERSON = "models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)"
PYTEST = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
# Each as replacements in the files of the application that are no tests.
CHANGES = {
    "none": [("models", "models")],
    "another field": [(TEXT, "    amount = models.IntegerField(default=1)\n"), (FIELDS, r'\g<0>, "amount"')],
    "a status with choices": [
        (TEXT, '    status = models.CharField(choices=[("n", "New"), ("p", "Paid")])\n'),
        (FIELDS, r'\g<0>, "status"'),
    ],
    "another name of the owner": [(r"(?<!for-)(?<!data-)\bowner", "customer")],
    "another name of the text": [
        (r"\btext = models", "title = models"),
        ("self.text", "self.title"),
        (FIELDS, 'fields=["title"'),
    ],
    "a second person": [
        (TEXT, f"    seller = {PERSON}\n"),
        ("related_name", "related_name"),
        (FIELDS, r'\g<0>, "seller"'),
    ],
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """With one application of each kind."""
    clone = Clone(tmp_path_factory.mktemp("clone"))
    orders = clone.run("make", "app", "NAME=orders").stdout
    assert "On its page, /orders/, each member sees and changes only their own: make run-asgi" in orders
    offers = clone.run("make", "app", "NAME=offers", "PUBLIC=1").stdout
    assert "On its page, /offers/, everyone sees what members add: make run-asgi" in offers
    return clone


def code_of(clone):
    """The files that an owner edits when a model changes, none of them a test."""
    files = [file for name in ("orders", "offers") for file in sorted((clone.folder / "apps" / name).rglob("*.*"))]
    return [file for file in files if file.suffix in (".py", ".html") and not {"tests", "migrations"} & set(file.parts)]


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_its_tests_pass_whatever_its_columns_are(clone, changes):
    code = code_of(clone)
    migrations = [clone.folder / f"apps/{name}/migrations/0001_initial.py" for name in ("orders", "offers")]
    before = {path: path.read_text() for path in [*code, *migrations]}
    try:
        for old, new in changes:
            assert any(re.search(old, path.read_text()) for path in code), old
            for path in code:
                path.write_text(re.sub(old, new, path.read_text()))
        for path in migrations:
            path.unlink()
        # As it has said: it has made the secret key that this needs.
        clone.python("manage.py", "makemigrations", "orders", "offers")
        clone.python(*PYTEST, "apps/orders", "apps/offers", "tests/test_pages.py")
    finally:
        for path, text in before.items():
            path.write_text(text)


def test_it_is_in_the_style_of_the_project(clone):
    clone.python("-m", "ruff", "check", "apps", "wisheasy")
    clone.python("-m", "ruff", "format", "--check", "apps", "wisheasy")


BROKEN = {
    "anyone deletes": ("offers/views.py", "if item.owner != request.user", "if False"),
    "anyone adds": ("offers/views.py", "if not request.user.is_authenticated", "if False"),
    "a query for each": ("offers/views.py", '.select_related("owner")', ""),
    "nothing is published": ("offers/live.py", "    publish(", "    print("),
    "text is HTML": ("offers/templates/offers/_item.html", "{{ item }}", "{{ item|safe }}"),
    "members delete": ("orders/views.py", "pk=pk, owner=request.user", "pk=pk"),
    "no sign-in": ("orders/views.py", "@login_required", ""),
    "all on the page": ("orders/views.py", "filter(owner=request.user)", "all()"),
    "all in changes": ("orders/live.py", "filter(owner=owner, ", "filter("),
    "members follow": ("orders/live.py", "user.pk == owner", "user.is_authenticated"),
    "strangers follow": ("orders/live.py", "user.pk == owner", "user.pk in (owner, None)"),
    "everyone follows": ("orders/live.py", "may_follow=may_follow", "public=True"),
    "the owner's is not published": ("orders/live.py", "        publish(", "        print("),
    "what the owner deletes is not": ("orders/live.py", "[post_save, post_delete]", "[post_save]"),
    "the owner's text is HTML": ("orders/templates/orders/_item.html", "{{ item }}", "{{ item|safe }}"),
}


@pytest.mark.parametrize(("file", "old", "new"), BROKEN.values(), ids=BROKEN)
def test_its_tests_fail_when_the_page_is_broken(clone, file, old, new):
    path = clone.folder / "apps" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        result = clone.python(*PYTEST, "-x", f"apps/{file.partition('/')[0]}", check=False)
    finally:
        path.write_text(text)
    assert result.returncode == 1, result.stdout


def test_one_that_is_given_to_another_member_leaves_the_page_of_the_first(clone):
    path = clone.folder / "apps/orders/tests/test_given.py"
    path.write_text("""
import pytest
from .test_page import add, changes, shown

@pytest.mark.django_db(transaction=True)
def test_it_leaves(owner, member):
    item = add(owner)
    cursor = shown(owner, "cursor")
    item.owner = member.user
    item.save()
    assert changes(owner, cursor) == {str(item.pk): None}
    assert "<li" in changes(member, 0)[str(item.pk)]
""")
    try:
        clone.python(*PYTEST, "apps/orders/tests/test_given.py")
    finally:
        path.unlink()


def test_in_a_clone_of_one_language_it_has_no_catalogue_and_in_one_with_korean_it_has(clone, tmp_path):
    korean = gettext.translation("django", clone.folder / "apps/offers/locale", ["ko"])
    texts = re.findall(r'translate "(.+?)"|\b_\("(.+?)"\)', "".join(map(Path.read_text, code_of(clone))))
    # Its name and that of its things are the owner's to translate; "Sign in" is the project's.
    untranslated = {text for pair in texts for text in pair if text and korean.gettext(text) == text}
    assert untranslated == {"order", "orders", "offer", "offers", "Sign in"}
    english = Clone(tmp_path)
    settings = english.folder / "wisheasy/settings.py"
    settings.write_text(settings.read_text().replace(', ("ko", "한국어")', ""))
    english.python("-m", "kit.add_app", "stock")
    assert not (english.folder / "apps/stock/locale").exists()
    english.python(*PYTEST, "apps/stock", "tests/test_pages.py")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "can't be the name of an application"),
        ("Orders", "can't be the name of an application"),
        ("../orders", "can't be the name of an application"),
        ("class", "can't be the name of an application"),
        ("o" * 31, "can't be the name of an application"),
        ("accounts", "There is an application or a Python module 'accounts' already"),
        ("sessions", "There is an application or a Python module 'sessions' already"),
        ("statistics", "There is an application or a Python module 'statistics' already"),
        ("i18n", "The address /i18n/ is taken"),
        ("errors", "The address /errors/ is taken"),
    ],
)
def test_a_name_that_is_taken_is_refused(name, sentence):
    with pytest.raises(add_app.CommandError, match=re.escape(sentence)):
        add_app.check(name)


def test_a_refusal_is_one_sentence_and_nothing_is_made(clone):
    before = clone.run("git", "status", "--short").stdout
    result = clone.python("-m", "kit.add_app", "orders", check=False)
    assert result.returncode == 1
    assert result.stderr == ("There is an application or a Python module 'orders' already: choose another name.\n")
    assert clone.run("git", "status", "--short").stdout == before


@pytest.mark.parametrize("public", ["2", "yes", " 1"])
def test_another_audience_is_refused_in_one_sentence(clone, public):
    before = clone.run("git", "status", "--short").stdout
    result = clone.python("-m", "kit.add_app", "notes", public, check=False)
    assert result.stderr == f"PUBLIC='{public}' is wrong: expected 1, for a page that everyone sees, or 0.\n"
    assert clone.run("git", "status", "--short").stdout == before


@pytest.mark.parametrize(
    ("key", "converter"),
    [(models.BigAutoField, "int"), (models.IntegerField, "int"), (models.UUIDField, "uuid"), (models.CharField, "str")],
)
def test_an_owner_is_named_by_what_identifies_a_user(monkeypatch, key, converter):
    user = SimpleNamespace(_meta=SimpleNamespace(pk=key(primary_key=True)))
    monkeypatch.setattr("django.contrib.auth.get_user_model", lambda: user)
    assert add_app.converter() == converter


@pytest.mark.parametrize(
    ("name", "one"),
    [("orders", "order"), ("companies", "company"), ("boxes", "box"), ("stock", "stock"), ("status", "status")],
)
def test_what_one_of_them_is_called_follows_from_the_name(name, one):
    assert add_app.singular(name) == one


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def server(request, clone, tmp_path_factory):
    with serve(request.param, tmp_path_factory.mktemp(request.param), root=clone.folder) as server:
        yield server


@pytest.fixture
def visit(browser, server):
    """Opens a page in a browser of its own, signed up under a name if there is one; gives it when it is live."""

    def visit(address, name=""):
        page = browser.new_context(base_url=server.url).new_page()
        if name:
            page.goto(f"/accounts/signup/?next={address}")
            page.fill("[name=username]", name)
            for field in ("password1", "password2"):
                page.fill(f"[name={field}]", "a long enough passphrase")
            page.click("main button")
        else:
            page.goto(address)
        transport = "websocket" if server.mode == "asgi" else "polling"
        page.wait_for_selector(f'[data-live-status][data-status="{transport}"]')
        return page

    return visit


def test_what_is_added_and_deleted_appears_on_pages_that_are_open(visit):
    reader, writer = visit("/offers/"), visit("/offers/", "mina")
    writer.fill("[name=text]", "a <b>dog</b>")
    writer.click(".compose button")
    reader.wait_for_selector("li.item")
    assert reader.inner_text("li.item .text") == "a <b>dog</b>"
    assert not reader.is_visible("[data-live-empty]")
    assert not reader.is_visible("li.item button")
    writer.click("li.item button")
    reader.wait_for_selector("li.item", state="detached")
    assert reader.is_visible("[data-live-empty]")


def test_what_is_private_appears_on_open_pages_of_its_owner_alone(visit):
    other, writer = visit("/orders/", "jun"), visit("/orders/", "hana")
    reader = writer.context.new_page()
    reader.goto("/orders/")
    for page, text in ((writer, "of hana"), (other, "of jun")):
        page.fill("[name=text]", text)
        page.click(".compose button")
    reader.wait_for_selector("li.item")
    other.wait_for_selector("li.item")
    assert reader.locator("li.item .text").all_inner_texts() == ["of hana"]
    assert other.locator("li.item .text").all_inner_texts() == ["of jun"]
    reader.click("li.item button")
    writer.wait_for_selector("li.item", state="detached")
    assert other.locator("li.item .text").all_inner_texts() == ["of jun"]
