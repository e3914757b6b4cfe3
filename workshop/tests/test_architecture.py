"""docs/architecture.md: its picture has every service, its table of timeouts those of the code."""

import re

from kit.serving import timeouts
from workshop.tests.servers import ROOT

from .test_compose import SERVICES

PAGE = (ROOT / "docs/architecture.md").read_text()


def test_the_picture_has_every_service():
    picture = re.search(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)[1]
    assert [name for name in SERVICES if name not in picture] == []


def test_the_table_of_timeouts_is_that_of_the_code():
    table = re.findall(r"^\| `([A-Z_]+)`: .+ \| (\d+) \|$", PAGE, re.MULTILINE)
    ladder = {name: seconds for name, seconds in vars(timeouts).items() if name.isupper()}
    assert len(table) == 8
    assert {name: int(seconds) for name, seconds in table}.items() <= ladder.items()
