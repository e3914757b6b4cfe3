"""The files and commands of deploy/*.md, as its pages show them."""

import re

from workshop.tests.servers import ROOT

FOLDER = ROOT / "deploy"


def text(page: str) -> str:
    """The page as its reader follows it: the pages call every project shop."""
    return re.sub(r"\bshop\b", "wisheasy", (FOLDER / page).read_text())


def blocks(page: str, language: str) -> list[str]:
    """The blocks of that language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)


def variables(text: str) -> dict[str, str]:
    """Of a file like .env."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
