"""README.ko.md is README.md in Korean: what is no prose is the same in both, section by section."""

import re

import pytest

from workshop.tests.servers import ROOT

NAMES = ("README.md", "README.ko.md")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def sections(name):
    """Level, and text, of each heading and what follows it."""
    text = (ROOT / name).read_text()
    blocks = iter(BLOCK.findall(text))
    # A comment in a block of commands is no heading.
    parts = re.split(r"^(#+) (.*\n)", BLOCK.sub("\0", text), flags=re.MULTILINE)[1:]
    return [
        (len(level), heading + re.sub("\0", lambda _: next(blocks), body))
        for level, heading, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]


def commands(text):
    """What stands in blocks of code, without the comments."""
    return [re.sub(r" *#.*", "", block) for block in BLOCK.findall(text)]


def tables(text):
    """The first column of each row, with nothing but what is code in it; and how many columns there are."""
    rows = re.findall(r"^\|(.*)\|$", BLOCK.sub("", text), re.MULTILINE)
    return [(re.findall(r"`[^`]+`", row.split("|")[0]), row.count("|")) for row in rows]


def links(text):
    """Where links and pictures lead; the other README is the same place, seen from the other side."""
    return sorted(each for each in re.findall(r"\]\(([^)]+)\)", text) if each not in NAMES)


def code(text):
    """All that is code in a line of prose, in any order: that of the words differs."""
    return sorted(re.findall(r"`[^`\n]+`", BLOCK.sub("", text)))


def test_the_headings_have_the_same_levels_in_the_same_order():
    english, korean = ([level for level, _ in sections(name)] for name in NAMES)
    assert english == korean


ENGLISH = [text for _, text in sections("README.md")]


@pytest.mark.parametrize("number", range(len(ENGLISH)), ids=[text.splitlines()[0] for text in ENGLISH])
@pytest.mark.parametrize("part", [commands, tables, links, code], ids=lambda part: part.__name__)
def test_a_section_is_the_same_in_both_languages(number, part):
    assert part(ENGLISH[number]) == part(sections("README.ko.md")[number][1])


@pytest.mark.parametrize(("name", "other"), [NAMES, NAMES[::-1]])
def test_each_leads_to_the_other_at_its_top(name, other):
    assert f"]({other})" in (ROOT / name).read_text().partition("\n## ")[0]
