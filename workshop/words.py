"""Expressions that documents and comments must not use, since readers stumble over them. Prints each place with what to
write instead, and fails if there is any: python -m workshop.words"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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
# Whole files. Of the code, only the comments.
PROSE = re.compile(r"^(?!workshop/bench/).*\.md$|^\.env\.example$")
NO_CODE = re.compile(r"^(workshop|docs|\.idea)/|\.(md|mo|po|png|svg|json|txt)$|^LICENSE$")
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
    """One message for each hunted expression in these numbered lines."""
    return [
        f"{name}:{number}: {match[0]!r}: {better}"
        for number, line in lines
        for expression, better in HUNTED.items()
        for match in re.finditer(expression, line, re.IGNORECASE)
    ]


def main():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = []
    for name in filter(lambda name: (ROOT / name).is_file(), tracked.stdout.splitlines()):
        if PROSE.search(name):
            found += stumbles(name, enumerate((ROOT / name).read_text().splitlines(), 1))
        elif not NO_CODE.search(name):
            found += stumbles(name, comments(ROOT / name))
    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()
