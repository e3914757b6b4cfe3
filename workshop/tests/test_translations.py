"""Everything that people read is there in Korean. gettext is not needed: messages are found in the source itself."""

import ast
from pathlib import Path

import polib
import pytest
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent.parent
CATALOG = ROOT / "wisheasy" / "locale" / "ko" / "LC_MESSAGES" / "django.po"
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


def sources():
    for folder in ("apps", "kit", "wisheasy"):
        for path in sorted((ROOT / folder).rglob("*")):
            if "tests" not in path.parts and path.suffix in (".py", ".html"):
                yield path


def messages():
    """Each message of the source, as (singular,) or (singular, plural), with the file it is in."""
    found = {}
    for path in sources():
        read = calls if path.suffix == ".py" else messages_of_a_template
        for message in read(path.read_text()):
            found.setdefault(message, path.relative_to(ROOT).as_posix())
    return found


def translations():
    return {
        (entry.msgid, entry.msgid_plural) if entry.msgid_plural else (entry.msgid,): entry
        for entry in polib.pofile(CATALOG)
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


def test_every_message_is_translated():
    translated = {message for message, entry in translations().items() if entry.translated()}
    missing = {message: path for message, path in messages().items() if message not in translated}
    assert not missing, f"to be translated in {CATALOG.relative_to(ROOT)}"


def test_nothing_is_translated_that_is_not_there():
    # An application that was deleted may leave its translations behind.
    known = {
        message
        for message, entry in translations().items()
        if any((ROOT / path).exists() for path, _ in entry.occurrences)
    }
    assert known <= set(messages())


def test_no_translation_is_a_guess_or_a_leftover():
    assert [entry.msgid for entry in polib.pofile(CATALOG) if entry.fuzzy or entry.obsolete] == []


def test_placeholders_are_the_same_in_both_languages():
    def placeholders(text):
        return sorted(word.partition(")")[0] for word in text.split("%(")[1:]) + ["{n}"] * text.count("{n}")

    for entry in translations().values():
        for text in entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr]:
            assert placeholders(text) == placeholders(entry.msgid_plural or entry.msgid), entry.msgid


def test_the_compiled_catalog_is_what_the_source_says():
    def content(catalog):
        return {(entry.msgid, entry.msgid_plural): (entry.msgstr, entry.msgstr_plural) for entry in catalog}

    assert content(polib.mofile(CATALOG.with_suffix(".mo"))) == content(polib.pofile(CATALOG)), RECOMPILE
