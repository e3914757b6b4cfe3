"""`make app` adds an application that is whole, and whose tests go on passing when its model changes."""

import gettext
import re
from pathlib import Path

import pytest

from kit import add_app
from workshop.tests.copies import Clone
from workshop.tests.servers import EMBEDDED_MODES, serve

TEXT = r"(?=    text = models)"
FIELDS = r'fields=\["text"'
PERSON = "models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)"
# Each as replacements in the files of the application that are no tests.
CHANGES = {
    "none": [("Order", "Order")],
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
    clone = Clone(tmp_path_factory.mktemp("clone"))
    clone.python("-m", "kit.add_app", "orders")
    return clone


def code_of(clone):
    """The files that an owner edits when the model changes, none of them a test."""
    files = sorted((clone.folder / "apps/orders").rglob("*.*"))
    return [file for file in files if file.suffix in (".py", ".html") and not {"tests", "migrations"} & set(file.parts)]


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_its_tests_pass_whatever_its_columns_are(clone, changes):
    folder = clone.folder / "apps/orders"
    code = code_of(clone)
    before = {path: path.read_text() for path in [*code, folder / "migrations/0001_initial.py"]}
    try:
        for old, new in changes:
            assert any(re.search(old, path.read_text()) for path in code), old
            for path in code:
                path.write_text(re.sub(old, new, path.read_text()))
        (folder / "migrations/0001_initial.py").unlink()
        # As it has said: it has made the secret key that this needs.
        clone.python("manage.py", "makemigrations", "orders")
        clone.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "apps/orders", "tests/test_pages.py")
    finally:
        for path, text in before.items():
            path.write_text(text)


def test_it_is_in_the_style_of_the_project(clone):
    clone.python("-m", "ruff", "check", "apps", "wisheasy")
    clone.python("-m", "ruff", "format", "--check", "apps", "wisheasy")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("views.py", "if item.owner != request.user", "if False"),
        ("views.py", "if not request.user.is_authenticated", "if False"),
        ("views.py", '.select_related("owner")', ""),
        ("live.py", "    publish(", "    print("),
        ("templates/orders/_item.html", "{{ item }}", "{{ item|safe }}"),
    ],
    ids=["anyone deletes", "anyone adds", "a query for each", "nothing is published", "text is HTML"],
)
def test_its_tests_fail_when_the_page_is_broken(clone, file, old, new):
    path = clone.folder / "apps/orders" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        result = clone.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "apps/orders", check=False)
    finally:
        path.write_text(text)
    assert result.returncode == 1, result.stdout


def test_in_a_clone_of_one_language_it_has_no_catalogue_and_in_one_with_korean_it_has(clone, tmp_path):
    korean = gettext.translation("django", clone.folder / "apps/orders/locale", ["ko"])
    texts = re.findall(r'translate "(.+?)"|\b_\("(.+?)"\)', "".join(map(Path.read_text, code_of(clone))))
    # Its name and that of its things are the owner's to translate; "Sign in" is the project's.
    untranslated = {text for pair in texts for text in pair if text and korean.gettext(text) == text}
    assert untranslated == {"order", "orders", "Sign in"}
    english = Clone(tmp_path)
    settings = english.folder / "wisheasy/settings.py"
    settings.write_text(settings.read_text().replace(', ("ko", "한국어")', ""))
    english.python("-m", "kit.add_app", "stock")
    assert not (english.folder / "apps/stock/locale").exists()
    english.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "apps/stock", "tests/test_pages.py")


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


@pytest.mark.parametrize(
    ("name", "one"),
    [("orders", "order"), ("companies", "company"), ("boxes", "box"), ("stock", "stock"), ("status", "status")],
)
def test_what_one_of_them_is_called_follows_from_the_name(name, one):
    assert add_app.singular(name) == one


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_what_is_added_and_deleted_appears_on_pages_that_are_open(clone, browser, tmp_path, mode):
    with serve(mode, tmp_path, root=clone.folder) as server:
        reader, writer = (browser.new_context(base_url=server.url).new_page() for _ in range(2))
        reader.goto("/orders/")
        transport = "websocket" if mode == "asgi" else "polling"
        reader.wait_for_selector(f'[data-live-status][data-status="{transport}"]')
        writer.goto("/accounts/sign-up?next=/orders/")
        writer.fill("[name=username]", "mina")
        for field in ("password1", "password2"):
            writer.fill(f"[name={field}]", "a long enough passphrase")
        writer.click("main button")
        writer.fill("[name=text]", "a <b>dog</b>")
        writer.click(".compose button")
        reader.wait_for_selector("li.item")
        assert reader.inner_text("li.item .text") == "a <b>dog</b>"
        assert not reader.is_visible("[data-live-empty]")
        assert not reader.is_visible("li.item button")
        writer.click("li.item button")
        reader.wait_for_selector("li.item", state="detached")
        assert reader.is_visible("[data-live-empty]")
