"""docs/architecture.svg is what bin/draw_architecture.py makes of docker-compose.yml, nginx/ and the table of modes."""

import re
import runpy
from xml.etree import ElementTree

from kit.serving import timeouts
from workshop.tests.servers import ROOT

from .test_compose import SERVICES

PICTURE = ROOT / "docs/architecture.svg"


def test_the_picture_is_what_the_code_gives():
    drawn = runpy.run_path(str(ROOT / "bin/draw_architecture.py"))["draw"]()
    assert drawn == PICTURE.read_text(), "Draw it anew: .venv/bin/python bin/draw_architecture.py"


def test_the_picture_is_well_formed_has_both_colour_schemes_and_shows_every_service():
    root = ElementTree.fromstring(PICTURE.read_text())
    shown = {element.text.partition(":")[0] for element in root.iter() if element.tag.endswith("}text")}
    assert set(SERVICES) <= shown
    assert "prefers-color-scheme: dark" in PICTURE.read_text()
    # Nothing is left outside of it.
    width, height = map(int, root.attrib["viewBox"].split()[2:])
    assert all(0 <= float(x) < width for x in re.findall(r' x="([\d.-]+)"', PICTURE.read_text()))
    assert all(0 <= float(y) < height for y in re.findall(r' y="([\d.-]+)"', PICTURE.read_text()))


def test_the_table_of_timeouts_is_that_of_the_code():
    table = re.findall(r"\(`([A-Z_]+)`\) \| (\d+) \|", (ROOT / "docs/architecture.md").read_text())
    ladder = {name: seconds for name, seconds in vars(timeouts).items() if name.isupper()}
    assert len(table) == 8
    assert {name: int(seconds) for name, seconds in table}.items() <= ladder.items()
