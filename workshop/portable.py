"""What scripts that run on a developer's machine must not use, because a Mac has Bash 3.2, BSD's tools and Make 3.81.
Prints each place, and fails when there is any: python -m workshop.portable"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Containers run what docker-compose.yml mounts there; the other two run on a server, which has Linux.
MOUNTED = re.findall(r"\./(docker/\w+):", (ROOT / "docker-compose.yml").read_text())
LINUX = {*MOUNTED, "docker/bootstrap", "docker/deploy_on_host"}
SHELL = re.compile(r"\A#!(/bin/sh|/usr/bin/env bash)|^# shellcheck shell=", re.MULTILINE)

# Whatever precedes a command, and is not the program whose subcommand it is, as in `docker rm`.
COMMAND = (
    r"(?<![-\w/.'])(?<!docker )(?<!git )(?<!image )(?<!volume )(?<!system )(?<!compose )(?:{})(?![-\w/=.])[^|;&]*?"
)
BASH = {
    r"\b(mapfile|readarray|coproc)\b": "Bash 4",
    r"\b(declare|local|typeset|readonly) -[a-z]*[Agn]": "Bash 4",
    r"\$\{\w+(\[[^]]*\])?[\^,@]": "Bash 4",
    r"\$\{\w+:[^-+=?}][^}]*:-\d": "Bash 4: a length below zero",
    r"\|&|&>>|;;&|;&": "Bash 4",
    r"\bwait -n\b": "Bash 4",
    r"\[\[? (! )?-v ": "Bash 4",
    r"%\([^)]*\)T": "Bash 4",
    r"\bexec \{": "Bash 4",
    r"\bread [^|;&]*-(t ?\d*\.|N)": "Bash 4",
    r"\bshopt -s \w*(globstar|lastpipe|inherit_errexit)": "Bash 4",
    r"\bBASHPID\b|\bEPOCH(SECONDS|REALTIME)\b(?!:-)": "Bash 5",
    r"\becho -[neE]": "printf: the sh of a Mac prints the option",
}
TOOLS = {
    COMMAND.format("sed") + r" -[nEr]*i(?!\.)": "sed -i.old: BSD's wants a suffix",
    COMMAND.format("sed") + r" -[a-z]*r": "sed -E",
    COMMAND.format("sed|grep") + r"\\[sSwWdDbB+?|]": "POSIX expressions, or -E",
    COMMAND.format("grep") + r" -[a-zA-Z]*P": "no such option",
    COMMAND.format("date") + r" (-[a-zA-Z]*[dI]|\+\S*%N)": "no such option or format",
    COMMAND.format("stat") + r" -(c|-)": "no such option",
    COMMAND.format("readlink") + r" -[fem]": "not in every version: cd, then pwd -P",
    COMMAND.format("xargs") + r" -[a-zA-Z0-9]*[rd]\b": "not in every version",
    COMMAND.format("mv|cp|ln") + r" -[a-zA-Z]*[Tt]\b": "no such option",
    COMMAND.format("head") + r" (-n ?-|-c ?-)": "no such number",
    COMMAND.format("tail") + r" --?pid": "no such option",
    COMMAND.format("sort") + r" -[a-zA-Z]*[Vh]\b": "not in every version",
    COMMAND.format("mktemp") + r" -[a-zA-Z]*[ptu]|mktemp --": "mktemp, or mktemp -d",
    COMMAND.format("find") + r" -(printf|regextype|executable|readable|writable|perm /)": "no such test",
    COMMAND.format("base64") + r" -w": "no such option",
    COMMAND.format("tee") + r" -p": "no such option",
    COMMAND.format("sed|head|tail|cp|mv|rm|mkdir|ln|date|xargs|cut|tr|chmod|touch|df|sort|wc|od|seq")
    + r" --[a-z]": "no long options",
    COMMAND.format("flock|timeout|tac|nproc|setsid|sha256sum|md5sum|ionice|ss"): "no such program",
}
MAKE = {
    r"^\.(ONESHELL|RECIPEPREFIX|EXTRA_PREREQS|WAIT)\b": "Make 3.82",
    r"^\w[\w.-]* *(!=|::?:=)": "Make 4",
    r"^(undefine|private) |^define \w+ *[:?+]?=": "Make 3.82",
    r"\$\((file|guile|let|intcmp) ": "Make 4",
    r"^[^\t:=]+ &:": "Make 4.3",
}
# Where there is another way behind it.
ALLOWED = {("docker/lock.sh", "flock"), ("docker/checks.sh", "date")}


def scripts():
    for folder in ("bin", "docker"):
        for path in sorted((ROOT / folder).iterdir()):
            name = str(path.relative_to(ROOT))
            if path.is_file() and name not in LINUX and SHELL.search(path.read_text()):
                yield name, path.read_text(), BASH | TOOLS
    for name in ("Makefile", "rename.mk", "workshop/Makefile"):
        yield name, (ROOT / name).read_text(), MAKE | TOOLS


def findings(text, rules):
    """The number of the line, what is there, and why it is not portable."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        for pattern, why in rules.items():
            if found := re.search(pattern, line):
                yield number, found[0], why


def main():
    found = [
        f"{name}:{number}: {what.strip()}: {why}"
        for name, text, rules in scripts()
        for number, what, why in findings(text, rules)
        if (name, what.split()[0]) not in ALLOWED
    ]
    print(*found, sep="\n", end="\n" * bool(found), file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
