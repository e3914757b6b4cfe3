"""The commands, scripts and options that documents name are there."""

import re
import subprocess

import pytest

from workshop.tests.servers import ROOT

DOCUMENTS = [
    *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("workshop/**/*.md"),
    *ROOT.glob("kit/*.md"),
]  # fmt: skip
MAKEFILES = "".join((ROOT / name).read_text() for name in ("Makefile", "rename.mk", "workshop/Makefile"))
TARGETS = set(" ".join(re.findall(r"^([a-z0-9 -]+):", MAKEFILES, re.MULTILINE)).split())
# In a block, or in the code of a sentence: prose has its own "make".
CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_commands_that_are_there(document):
    code = "\n".join(CODE.findall(document.read_text()))
    commands = re.findall(
        r"(?:^|[`;&(] ?)(?:\w+=\S+ )*make ((?:-C workshop )?[a-z0-9-]+)(?![…\w-])", code, re.MULTILINE
    )
    assert {command.removeprefix("-C workshop ") for command in commands} - TARGETS == set()
    scripts = re.findall(r"(?<![\w./-])((?:bin|docker)/[a-z_]+)(?![\w/.])", code)
    assert [script for script in scripts if not (ROOT / script).exists()] == []


def test_make_alone_lists_every_command():
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    declared = set(" ".join(re.findall(r"^\.PHONY: (.*)$", MAKEFILES, re.MULTILINE)).split())
    beside = {"bench", "instructions", "lab", "drills", "swarm", "docs"}
    assert [target for target in declared - beside if not re.search(rf"make .*\b{target}\b", listed)] == []


def test_the_commands_are_grouped():
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    headings = re.findall(r"^(\w[\w ]+?)(?: \(.*\))?$", listed, re.MULTILINE)
    assert headings == ["Start here", "Stack", "Release", "Data", "Upkeep"]
