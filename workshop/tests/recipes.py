"""The files and commands of docs/recipes/, as its pages show them."""

import re

from workshop.tests.servers import ROOT

FOLDER = ROOT / "docs" / "recipes"


def blocks(page: str, language: str) -> list[str]:
    """The blocks of that language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (FOLDER / page).read_text(), re.MULTILINE | re.DOTALL)


def variables(text: str) -> dict[str, str]:
    """Of a file like .env."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
