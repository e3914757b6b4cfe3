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
        *(path for folder in ("docs", "kit", "nginx", "docker", "deploy") for path in ROOT.glob(f"{folder}/**/*.md")),
        *(ROOT / f"workshop/{name}README.md" for name in ("", "shop/")),
        *ROOT.glob("workshop/bench/results/*.md"),
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
    paths = [ROOT / "Makefile", *ROOT.glob("workshop/Makefile"), *ROOT.glob("docker/*"), *ROOT.glob("bin/*")]
    paths += [
        *ROOT.glob("workshop/rename*"),
        *ROOT.glob("workshop/bench/*.py"),
        *ROOT.glob("workshop/site/*.py"),
        *ROOT.glob("workshop/tests/stack/*.py"),
        *ROOT.glob("workshop/tests/swarm/*.py"),
    ]
    paths += [*ROOT.glob(".github/**/*.yml"), *ROOT.glob(".gitlab-ci.yml")]
    text = "".join(path.read_text() for path in paths if path.is_file())
    read = (
        r"\$[({]?(?:if \$[({]|call given,)?([A-Z][A-Z_]+)"
        r"|environ(?:\.get\(|\.pop\(|\[)\"([A-Z_]+)\"|(?:vars|secrets)\.([A-Z_]+)"
    )
    return {name for found in re.findall(read, text) for name in found if name}


# Variables, settings of packages and SQL that are there as examples, methods of HTTP, places to fill in, and what was
# renamed.
IN_CAPITALS = {
    "SHOP_NAME", "SOLD", "STRIPE_KEY", "WSGI", "ASGI", "SWAGGER_UI_DIST", "SWAGGER_UI_FAVICON_HREF",
    "WAGTAIL_GRAVATAR_PROVIDER_URL", "WAGTAIL_ENABLE_UPDATE_CHECK", "KEEP", "OLD_SLOT", "TOPIC", "SET",
    "CPU", "GET", "POST", "CURSOR", "NAME", "EVERYWHERE", "PASSWORD", "FAILED",
    "RUNNING", "SELECT", "SERVING_STOCK", "UPSTREAM", "LAB", "MEMORY", "REST_FRAMEWORK", "SPECTACULAR_SETTINGS",
}  # fmt: skip
# These pages add variables of their own.
NOT_RECIPES = [name for name in TEXTS if not name.startswith(("docs/recipes/", "deploy/"))]


@pytest.mark.parametrize("name", NOT_RECIPES)
def test_a_variable_of_a_document_is_one_that_something_reads(name):
    """In .env.example, where it is for .env; else of one command, a setting of Django's, or a step of the time-outs."""
    code = re.findall(r"`([^`\n]+)`|^ *```\w*\n(.*?)^ *```$", TEXTS[name], re.MULTILINE | re.DOTALL)
    words = " ".join(inline or block for inline, block in code)
    names = set(re.findall(r"(?<![\w.…-])([A-Z][A-Z0-9_]{2,})(?:=|(?=[\s,;)]|$))", words))
    known = {*variables(), *read_by_commands(), *dir(settings), *dir(timeouts), *IN_CAPITALS}
    assert {each.removesuffix("_FILE") for each in names} - known == set()
