"""The documents and comments are in plain English, and the documents short enough to be read to the end."""

import ast
import io
import re
import subprocess
import tokenize

import pytest

from workshop.tests.servers import ROOT

from .test_documents import TEXTS
from .test_readme_ko import BLOCK

# Expressions that make a sentence hard to follow, and what to write instead. No linter of prose holds them: Vale's
# packages on PyPI and npm fetch the program from GitHub; Harper's rules ignore case and code, so that they refuse
# "a visitor who can" with "Who can" and overlook "Say `NAME=`"; proselint takes no rules from outside; textlint brings
# 167 packages of npm.
HUNTED = {
    r"\b(any|no|some|every)body\b": "name the person: the visitor, an administrator, you; else someone, no one",
    r"\b(whoever|whom)\b": "name the person",
    r"\bwhat is\b": "name the thing",
    r"\bby (itself|themselves|oneself)\b": "automatically, or nothing",
    r"\banew\b": "again",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"(?:^|[.:;|] |^- |\*\*)Who (?:\w+s|can|may|has|is)\b(?![^.|]*\?)": "begin with the person: a visitor who …",
    r"\b[Ss]ay(?:s|ing)? `?[A-Z][A-Z_]+=": "set NAME=value",
    r"\bto be had\b|\bat it\b|\bhas it that\b": "say what happens",
}
MANUAL = ".env.example"
PROSE = {name: text for name, text in TEXTS.items() if not name.startswith("workshop/bench/")}
PROSE[MANUAL] = (ROOT / MANUAL).read_text()
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
NO_CODE = re.compile(r"^(workshop|docs|\.idea)/|\.(md|mo|po|png|svg|json|txt)$|^LICENSE$")
CODE = [name for name in TRACKED if not NO_CODE.search(name) and (ROOT / name).is_file()]
COMMENTS = {
    ".css": r"/\*(.*)\*/",
    ".html": r"\{#(.*)#\}|<!--(.*)-->|opencomment %\}(.*?)\{%",
    ".js": r"(?:^|\s)//(.*)|^\s*/?\*(.*)",
    ".py-tpl": r'(?:^|\s)#(.*)|"""(.*)',
}
HASH = r"(?:^|\s)#+@?(?!!)(.*)"


def comments(path):
    """The comments and docstrings in a file, as numbered lines."""
    text = path.read_text()
    if path.suffix != ".py" and not re.match("#!.*python", text):
        pattern = COMMENTS.get(path.suffix, HASH)
        lines = enumerate(text.splitlines(), 1)
        return [(number, match[0]) for number, line in lines if (match := re.search(pattern, line))]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found += enumerate(node.value.value.splitlines(), node.lineno)
    return found


def stumbles(name, lines):
    return [
        f"{name}:{number}: {match[0]!r}: {better}"
        for number, line in lines
        for expression, better in HUNTED.items()
        for match in re.finditer(expression, line, re.IGNORECASE)
    ]


@pytest.mark.parametrize("name", sorted(PROSE))
def test_a_document_uses_no_expression_that_readers_stumble_over(name):
    found = stumbles(name, enumerate(PROSE[name].splitlines(), 1))
    assert not found, "Write these in plain words:\n" + "\n".join(found)


def test_a_comment_uses_none_either():
    found = [each for name in CODE for each in stumbles(name, comments(ROOT / name))]
    assert not found, "Write these in plain words:\n" + "\n".join(found)


# A comment that the test has to find in each kind of file.
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
