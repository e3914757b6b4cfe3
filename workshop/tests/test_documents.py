"""What README.md and the documents say, held to what is there."""

import re

import pytest
from django.conf import settings

from kit.serving import timeouts
from workshop.tests.servers import ROOT

from .test_env_example import variables

DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("workshop/bench/results/*.md"),  # only with lab
    ]
)
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in DOCUMENTS}
LINKS = [(name, link) for name, text in TEXTS.items() for link in re.findall(r"\]\(((?!http)[^)\s]+)\)", text)]


def anchors(text):
    """Where a link can lead to in a document, as GitHub names its headings."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize(("name", "link"), LINKS, ids=[f"{name} {link}" for name, link in LINKS])
def test_a_link_leads_somewhere(name, link):
    path, _, anchor = link.partition("#")
    target = (ROOT / name).parent / path if path else ROOT / name
    assert target.exists()
    assert not anchor or anchor in anchors(target.read_text())


def test_every_document_can_be_found_from_the_readme():
    found, new = set(), {"README.md"}
    while new:
        found |= new
        linked = {((ROOT / name).parent / link.partition("#")[0]).resolve() for name, link in LINKS if name in new}
        new = {str(path.relative_to(ROOT)) for path in linked if path.suffix == ".md"} - found
    assert set(TEXTS) == found


def read_by_commands():
    """Variables of one call: what make, the scripts and the measurements take besides."""
    texts = [path.read_text() for path in [ROOT / "Makefile", *ROOT.glob("docker/*"), *ROOT.glob("b*/*.py")]]
    texts += [path.read_text() for path in [*ROOT.glob("workshop/tests/stack/*.py"), *ROOT.glob(".github/**/*.yml")]]
    texts += [path.read_text() for path in ROOT.glob(".gitlab-ci.yml")]
    read = r"\$[({]?(?:if \$[({])?([A-Z][A-Z_]+)|environ(?:\.get\(|\[)\"([A-Z_]+)\"|(?:vars|secrets)\.([A-Z_]+)"
    return {name for text in texts for found in re.findall(read, text) for name in found if name}


# SQL, methods of HTTP, places to fill in, names in apps/accounts/attempts.py and docker/bootstrap, and a file.
IN_CAPITALS = {
    "ALTER", "FROM", "PASSWORD", "ROLE", "SELECT", "SET", "GET", "POST", "CURSOR", "NAME", "WORKLOAD", "EVERYWHERE",
    "RULES", "LICENSE",
    "ADDRESS", "COMMIT", "PATH",
}  # fmt: skip
# A recipe adds variables of its own to the settings.
NOT_RECIPES = [name for name in TEXTS if not name.startswith("docs/recipes/")]


@pytest.mark.parametrize("name", NOT_RECIPES)
def test_a_variable_of_a_document_is_one_that_something_reads(name):
    """In .env.example, where it is for .env; else of one command, a setting of Django's, or a step of the time-outs."""
    code = re.findall(r"`([^`\n]+)`|^ *```\w*\n(.*?)^ *```$", TEXTS[name], re.MULTILINE | re.DOTALL)
    words = " ".join(inline or block for inline, block in code)
    names = set(re.findall(r"(?<![\w.…-])([A-Z][A-Z0-9_]{2,})(?:=|(?=[\s,;)]|$))", words))
    known = {*variables(), *read_by_commands(), *dir(settings), *dir(timeouts), *IN_CAPITALS}
    assert {each.removesuffix("_FILE") for each in names} - known == set()
