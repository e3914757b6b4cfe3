"""Whatever people read is there in Korean, each message in the catalogue of its application or in that of the project.
gettext is not needed: messages are found in the source itself."""

import ast
from pathlib import Path

import polib
import pytest
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent.parent
# What has a catalogue of its own; the project's is the last that is looked into.
TEMPLATE = "kit/app_template"
FOLDERS = ["apps/accounts", "apps/wishes", "kit/live", "kit/mail", "workshop/lab", "wisheasy"]
# How many of the first arguments are messages. A context, which would come first, is not in use.
FUNCTIONS = {"_": 1, "gettext": 1, "gettext_lazy": 1, "ngettext": 2, "ngettext_lazy": 2}
RECOMPILE = 'compile it: python -c \'import polib; polib.pofile("…/django.po").save_as_mofile("…/django.mo")\''


def calls(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
            yield tuple(ast.literal_eval(argument) for argument in node.args[: FUNCTIONS[node.func.id]])


def messages_of_a_template(source):
    # What Django makes of a template for xgettext is calls with blanked-out text around them.
    code = templatize(source)
    for name in sorted(FUNCTIONS, key=len, reverse=True):
        code = code.replace(f" {name}(", f"\0{name}(")
    for piece in code.split("\0")[1:]:
        yield from calls(_first_call(piece))


def _first_call(code):
    for end in (position + 1 for position, character in enumerate(code) if character == ")"):
        try:
            ast.parse(code[:end])
        except SyntaxError:
            continue
        return code[:end]
    raise AssertionError(f"no call in {code[:80]!r}")


def catalogue(folder):
    return ROOT / folder / "locale/ko/LC_MESSAGES/django.po"


def messages(folder):
    """Each message of the source, as (singular,) or (singular, plural), with the file it is in."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*")):
        if "tests" not in path.parts and path.suffix in (".py", ".html", ".txt"):
            read = calls if path.suffix == ".py" else messages_of_a_template
            for message in read(path.read_text()):
                found.setdefault(message, path.relative_to(ROOT).as_posix())
    return found


def translations(folder):
    return {
        (entry.msgid, entry.msgid_plural) if entry.msgid_plural else (entry.msgid,): entry
        for entry in polib.pofile(catalogue(folder))
    }


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ('{% translate "A" %}', ("A",)),
        ("<p title=\"{% translate 'A (b)' %}\">", ("A (b)",)),
        ("{% blocktranslate trimmed %}A\n {{ b }}{% endblocktranslate %}", ("A %(b)s",)),
        (
            "{% blocktranslate count n=m %}{{ n }} A{% plural %}{{ n }} As{% endblocktranslate %}",
            ("%(n)s A", "%(n)s As"),
        ),
        ('{{ _("A") }}', ("A",)),
    ],
)
def test_messages_are_found_in_templates(template, message):
    assert list(messages_of_a_template(f"text {template} text")) == [message]


def test_messages_are_found_in_code():
    assert list(calls('x = _("A" "B"); ngettext("C", "D", 1)')) == [("AB",), ("C", "D")]


def test_every_message_has_a_catalogue():
    without = [path for folder in ("apps", "kit", "wisheasy", "workshop") for path in messages(folder).values()]
    assert [path for path in without if not path.startswith(tuple(f"{folder}/" for folder in FOLDERS))] == []


def test_every_catalogue_is_known():
    found = {path.relative_to(ROOT) for path in ROOT.glob("[!.]*/**/django.po")}
    found = {path for path in found if path.parts[0] != "var"}
    assert found == {catalogue(folder).relative_to(ROOT) for folder in [*FOLDERS, TEMPLATE]}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_message_is_translated_in_the_catalogue_that_goes_with_it(folder):
    translated = {message for message, entry in translations(folder).items() if entry.translated()}
    missing = {message: path for message, path in messages(folder).items() if message not in translated}
    assert not missing, f"to be translated in {catalogue(folder).relative_to(ROOT)}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_translated_that_is_not_there(folder):
    assert set(translations(folder)) == set(messages(folder))


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_translation_is_a_guess_or_a_leftover(folder):
    assert [entry.msgid for entry in polib.pofile(catalogue(folder)) if entry.fuzzy or entry.obsolete] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_placeholders_are_the_same_in_both_languages(folder):
    def placeholders(text):
        return sorted(word.partition(")")[0] for word in text.split("%(")[1:]) + ["{n}"] * text.count("{n}")

    for entry in translations(folder).values():
        for text in entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr]:
            assert placeholders(text) == placeholders(entry.msgid_plural or entry.msgid), entry.msgid


@pytest.mark.parametrize("folder", [*FOLDERS, TEMPLATE])
def test_the_compiled_catalogue_is_what_the_source_says(folder):
    def content(entries):
        return {(entry.msgid, entry.msgid_plural): (entry.msgstr, entry.msgstr_plural) for entry in entries}

    compiled = polib.mofile(catalogue(folder).with_suffix(".mo"))
    assert content(compiled) == content(polib.pofile(catalogue(folder))), RECOMPILE


@pytest.mark.django_db
def test_pages_speak_korean_to_visitors_who_read_korean(outsider):
    for path, text in {
        "/": "무엇을 바라시나요?",
        "/accounts/login/": "아직 계정이 없으신가요?",
        "/no": "아무것도 없습니다",
    }.items():
        response = outsider.client.get(path, headers={"Accept-Language": "ko"})
        assert '<html lang="ko">' in response.text
        assert text in response.text
