import subprocess
import sys

import pytest

from workshop.tests.servers import ROOT

from . import page

PACKAGES = ROOT / "var" / "recipes"
LOCK = ROOT / "workshop" / "tests" / "clones" / "requirements.txt"


@pytest.fixture(scope="session")
def packages():
    """The folder with the packages of the recipes, for PYTHONPATH: no project needs them all, so they are not among
    those of the project."""
    mark = PACKAGES / "installed"
    wanted = LOCK.read_text() + sys.version
    if not mark.exists() or mark.read_text() != wanted:
        subprocess.run(
            [
                *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable),
                *("--require-hashes", "--only-binary", ":all:", "--target", str(PACKAGES), "-r", str(LOCK)),
            ],
            check=True,
        )
        mark.write_text(wanted)
    return PACKAGES


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return page.clone(tmp_path_factory.mktemp("recipe") / "wisheasy")
