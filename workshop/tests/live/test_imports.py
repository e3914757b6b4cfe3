"""kit is imported from apps.py, before the applications are loaded, and knows nothing of the project."""

import re
import subprocess
import sys

import pytest

from workshop.tests.servers import ROOT

IMPORTS = re.compile(r"^\s*(?:from|import) (?:apps|tests|wisheasy|workshop)\b", re.MULTILINE)


def test_the_public_face_can_be_imported_before_the_applications_are_loaded():
    command = "from kit.live import is_our_origin, latest, publish, register"
    subprocess.run([sys.executable, "-c", command], cwd=ROOT, env={}, check=True)


@pytest.mark.parametrize("path", sorted((ROOT / "kit").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_kit_imports_nothing_of_the_project_and_does_not_name_it(path):
    text = path.read_text()
    assert not IMPORTS.search(text)
    assert "wisheasy" not in text
