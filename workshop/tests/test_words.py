"""workshop/words.py finds hard expressions in each kind of file, and the documents are short enough to be read."""

import re

import pytest

from workshop.tests.servers import ROOT
from workshop.words import comments, stumbles

from .test_readme_ko import BLOCK

# A comment to be found in each kind of file.
KINDS = {
    "a.py": "x = 1  # What is kept.\n",
    "b.py": 'def f():\n    """Short.\n\n    What is kept.\n    """\n',
    "script": "#!/usr/bin/env python3\n# What is kept.\n",
    "shell": "#!/bin/sh\n# What is kept.\n",
    "Makefile": "run: ## What is kept\n",
    "a.yml": "key: value # What is kept.\n",
    "a.conf": "    # What is kept.\n",
    "a.js": "/**\n * What is kept.\n */\n",
    "b.js": "run(); // What is kept.\n",
    "a.css": "/* What is kept. */\n",
    "a.html": "{# What is kept. #}\n",
    "a.py-tpl": '"""What is kept."""\n',
}


@pytest.mark.parametrize("name", KINDS)
def test_comments_are_found_in_each_kind_of_file(name, tmp_path):
    (tmp_path / name).write_text(KINDS[name])
    assert len(stumbles(name, comments(tmp_path / name))) == 1


def test_code_is_no_comment(tmp_path):
    (tmp_path / "a.py").write_text("user = 'nobody'\n")
    assert stumbles("a.py", comments(tmp_path / "a.py")) == []


def test_the_documents_of_the_owner_are_short_enough_to_be_read():
    """docs/ and the README that `make rename` leaves, in one language, without code and the bars of tables."""
    english = (path for path in ROOT.glob("docs/**/*.md") if not path.name.endswith(".ko.md"))
    owners = [ROOT / "workshop/clone/README.md", *english]
    words = {
        str(path.relative_to(ROOT)): len(re.findall(r"\S*\w\S*", BLOCK.sub("", path.read_text()))) for path in owners
    }
    total = sum(words.values())
    longest = sorted(words.items(), key=lambda each: -each[1])[:3]
    assert total <= 9_000, f"The owner's documents have {total:,} words, 9,000 at most. The longest: {longest}"
