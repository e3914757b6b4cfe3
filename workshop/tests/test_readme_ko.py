"""A page in Korean is the English one: what is no prose is the same in both, section by section."""

import re
from pathlib import Path

import pytest

from workshop.tests.servers import ROOT

PAIRS = [
    ("README.md", "README.ko.md"),
    ("docs/choosing-a-mode.md", "docs/choosing-a-mode.ko.md"),
    ("docs/first-deploy.md", "docs/first-deploy.ko.md"),
]
NAMES = [Path(name).name for pair in PAIRS for name in pair]
BLOCK = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


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
    """What stands in blocks of code, without the comments and the words of a picture."""
    return [
        re.sub(r'"[^"]*"' if "```mermaid" in block else " *#.*", "", block).replace("  ", " ")
        for block in BLOCK.findall(text)
    ]


def tables(text):
    """The first column of each row, with nothing but what is code in it; and how many columns there are."""
    rows = re.findall(r"^\|(.*)\|$", BLOCK.sub("", text), re.MULTILINE)
    return [(re.findall(r"`[^`]+`", row.split("|")[0]), row.count("|")) for row in rows]


def links(text):
    """Where links and pictures lead; a page in the other language, or a heading of the page, is the same place."""
    found = re.findall(r"\]\(([^)]+)\)", text)
    return sorted(each.replace(".ko.md", ".md") for each in found if each not in NAMES and each[0] != "#")


def code(text):
    """All that is code in a line of prose, in any order: that of the words differs."""
    return sorted(re.findall(r"`[^`\n]+`", BLOCK.sub("", text)))


def figures(text):
    """All numbers of two digits or more: smaller ones may be words in one of the languages."""
    return sorted(re.findall(r"\d[\d.,]*\d", re.sub(r"\]\([^)]+\)", "", text)))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0])
def test_the_headings_have_the_same_levels_in_the_same_order(pair):
    english, korean = ([level for level, _ in sections(name)] for name in pair)
    assert english == korean


SECTIONS = [(text, korean, number) for english, korean in PAIRS for number, (_, text) in enumerate(sections(english))]


@pytest.mark.parametrize(("english", "korean", "number"), SECTIONS, ids=[text.splitlines()[0] for text, *_ in SECTIONS])
@pytest.mark.parametrize("part", [commands, tables, links, code, figures], ids=lambda part: part.__name__)
def test_a_section_is_the_same_in_both_languages(english, korean, number, part):
    assert part(english) == part(sections(korean)[number][1])


@pytest.mark.parametrize(("name", "other"), [pair for both in PAIRS for pair in (both, both[::-1])])
def test_each_leads_to_the_other_at_its_top(name, other):
    assert f"]({Path(other).name})" in (ROOT / name).read_text().partition("\n## ")[0]
