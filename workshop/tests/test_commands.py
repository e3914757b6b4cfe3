"""Every command in README.md and the documents is one that a test runs: looked for in the source of the tests.

A recipe's page is followed word for word by a test of its own, and so is not looked at here; nor is CHANGELOG.md, which
says what there was."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from workshop.tests.servers import ROOT

from .test_compose import SERVICES
from .test_documents import TEXTS

# Also within a list.
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# What begins a command; a path or a name alone, in the middle of a sentence, is the file or the program.
PROGRAM = re.compile(r"(?:\w+=\S* )*(?:make\b|(?:docker|docker/\w+|bin/\w+|git|openssl|manage\.py) \S)")
# These do to a service what they do to any other: its name is held to docker-compose.yml.
OF_ANY_SERVICE = {"up", "down", "restart", "ps", "logs", "cp", "pull"}
# No part of this project.
OF_THE_SHELL = {"cat", "cd", "rm", "git", "grep", "jq"}
# Followed word for word by tests/stack/test_backups.py.
FOLLOWED = "Trying a restore"
# What a test puts into a word, as into f"up-{mode}".
ANY = "\0"

NOT_RUN = {
    "make check": "is lint, test and e2e, which .ci/run calls one after the other",
    "make format": "would change the files that the tests are of",
    "make lock": "asks the package index; tests/test_lock.py does so with one of its own",
    "make upgrade": "asks the package index; tests/test_lock.py does so with one of its own",
    "make upgrade WAIT=0": "asks the package index; tests/test_lock.py does so with one of its own",
    "make outdated": "asks the package index; tests/test_lock.py does so with one of its own",
    "make app NAME=orders": "tests/test_add_app.py calls kit/add_app.py",
    "make -C workshop bench": "takes 15 minutes; tests/test_bench.py runs its parts",
    "make -C workshop lab": "serves until Ctrl+C; tests/lab does so",
    "make -C workshop drills": "takes an hour; one round of it is part of make -C workshop e2e",
    "DRILL_ROUNDS=10 make -C workshop drills": "takes hours; one round of it is part of make -C workshop e2e",
    "git show FETCH_HEAD:CHANGELOG.md": "Git's own",
    "git reset --hard": "Git's own",
    ".venv/bin/python manage.py makemessages --locale ko": "Django's own, and takes GNU gettext",
    ".venv/bin/python manage.py compilemessages": "Django's own, and takes GNU gettext",
    "docker compose exec postgres rm -r /var/lib/postgresql/18": "waits for a PostgreSQL that is not there yet",
    "make release TAG=1.4": "takes an image from a registry",
    "make release ALLOW_UNSAFE=1": "does what --allow-unsafe does in tests/ops/test_check_migrations.py",
    "openssl rand -hex 32": "any other way to random characters does",
    "docker stats": "Docker's own, and only shows",
    "docker system df --verbose": "Docker's own, and only shows",
    "docker inspect": "Docker's own, and only shows",
    "docker compose pull": "asks a registry",
    "ssh-keygen -t ed25519 -N '' -C deploy -f deploy": "OpenSSH's own; tests/stack/test_deploy.py does so",
    'ssh root@www.example.com bash -s -- "$(cat deploy.pub)" <docker/bootstrap': "makes a whole machine another one",
}


# --- What the documents say


def commands(text):
    """Each command of a document, without what is around it."""
    text = re.sub(rf"^### {FOLLOWED}$.*?(?=^#)", "", text, flags=re.MULTILINE | re.DOTALL)
    for language, block in BLOCK.findall(text):
        if language in ("", "sh"):
            lines = (re.sub(r"(^|\s+)#.*", "", line).strip() for line in block.replace("\\\n", " ").splitlines())
            yield from (line for line in lines if line)
    prose = re.sub(r"\s+", " ", BLOCK.sub("", text))
    yield from (code for code in re.findall(r"`([^`]+)`", prose) if PROGRAM.match(code) and code != "make up-…")


DOCUMENTED = sorted(
    {
        command
        for name, text in TEXTS.items()
        if not name.startswith(("docs/recipes/", "deploy/", "CHANGELOG"))
        for command in commands(text)
    }
    - set(NOT_RUN)
)


def programs(command):
    """The words of each program of a command line: without options, variables before it and redirections."""
    words = shlex.split(re.sub(r"[<>]\S+", "", command).replace("|", " | ").replace("&&", " && "))
    program = []
    for word in [*words, "&&"]:
        if word in ("|", "&&"):
            if program and program[0] not in OF_THE_SHELL:
                yield program
            program = []
        elif not word.startswith("-") and (program or not re.match(r"\w+=", word)):
            program.append(word)


# --- What the tests run


@cache
def run_by_tests():
    """The words, without options, of each call and list in the tests, and of each command in a script."""
    calls = re.findall(r"\bmake ((?:-C )?[a-z0-9 ]+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    found = [["make", *filter(is_no_option, call.split())] for call in calls]
    for path in {*ROOT.glob("workshop/tests/**/*.py"), *ROOT.glob("apps/*/tests/*.py")} - {Path(__file__)}:
        tree = ast.parse(path.read_text())
        script = path.stem.removeprefix("test_")
        for scope in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]:
            values = bindings(scope)
            for node in ast.walk(scope):
                found += sequences(node, values, script if (ROOT / "docker" / script).exists() else "")
            if isinstance(scope, ast.FunctionDef) and re.search(r"\.(shell|once)\(", ast.unparse(scope)):
                lines = (line for text in strings(scope) for line in re.split(r"[;|&\n(]", text))
                found += ([*filter(is_no_option, line.split())] for line in lines)
    return {tuple(words) for words in found if len(words) > 1}


def bindings(scope):
    """The strings that a name stands for in turn: in a loop, or by parametrize."""
    values = {}
    for node in ast.walk(scope):
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            values[node.target.id] = strings(node.iter)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("parametrize"):
            names = strings(node.args[0])
            values.update({name.strip(): strings(node.args[1]) for each in names for name in each.split(",")})
    return values


def strings(node):
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def sequences(node, values, script):
    if isinstance(node, ast.List | ast.Tuple):
        yield from sequence(node.elts, values)
    elif isinstance(node, ast.Call):
        function = ast.unparse(node.func).rpartition(".")[2]
        # Helpers that are called after what they run: make("test"), and where docker/offsite is tested, run("now").
        begins = {"make": "make", "compose": "compose", "call_command": "manage.py", "run": script}
        begin = [begins[function]] if function in begins else []
        end = [f"{keyword.arg}=" for keyword in node.keywords]
        yield from ([*begin, *words, *end] for words in sequence(node.args, values))


def sequence(nodes, values):
    """The words, or the words for each value of a name among them. One that is not known is None, and like no other."""
    named = next((each.id for each in nodes if isinstance(each, ast.Name) and each.id in values), None)
    for value in values.get(named, [None]):
        words = []
        for each in nodes:
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                words.append(each.value)
            elif isinstance(each, ast.JoinedStr) and len("".join(strings(each))) > 1:
                words.append("".join(part.value if isinstance(part, ast.Constant) else ANY for part in each.values))
            else:
                words.append(value if isinstance(each, ast.Name) and each.id == named else None)
        yield [word for word in words if word is None or is_no_option(word)]


def is_no_option(word):
    return not word.startswith("-")


def is_run(program):
    """Does a test run it? What is a placeholder in the document may be anything."""
    first, *rest = program
    if first == "make":
        target, *variables = rest or ["help"]
        return contains(["make", target], {each.partition("=")[0] for each in variables})
    if program[:2] != ["docker", "compose"]:
        return contains([first, *rest[:1]]) or contains([first.removeprefix("docker/"), *rest[:1]])
    verb, *others = program[2:]
    if verb in OF_ANY_SERVICE:
        services = {word.partition(":")[0] for word in others if "/" not in word or ":" in word} - {"."}
        return services <= set(SERVICES) and contains(["compose", verb])
    if others[0] not in SERVICES:
        return False
    # `exec` says the program, `run` what the service's own is to do. A test may be in the container already.
    return contains([verb, *others[:3]]) or (
        len(others) > 1 and contains(others[-2:] if verb == "exec" else others[:2])
    )


def contains(wanted, variables=frozenset()):
    """Are these words, one after the other, among what the tests run, with such variables beside them?"""
    wanted = [word for word in wanted if not re.search(r"…|NAME|=", word)]
    return any(
        all(is_like(word, have) for word, have in zip(wanted, words[begin:], strict=False))
        for words in run_by_tests()
        if variables <= {str(word).partition("=")[0] for word in words}
        for begin in range(len(words) - len(wanted) + 1)
    )


def is_like(word, have):
    return have == word or (have and ANY in have and re.fullmatch(".+".join(map(re.escape, have.split(ANY))), word))


@pytest.mark.parametrize("command", DOCUMENTED)
def test_a_test_runs_it(command):
    assert [program for program in programs(command) if not is_run(program)] == []


def test_what_is_not_run_is_in_a_document():
    assert set(NOT_RUN) <= {command for text in TEXTS.values() for command in commands(text)}


def test_a_recipe_is_followed_by_a_test():
    tests = " ".join(path.read_text() for path in {*ROOT.glob("workshop/tests/**/*.py")} - {Path(__file__)})
    recipes = {path.stem for folder in ("docs/recipes", "deploy") for path in ROOT.glob(f"{folder}/*.md")}
    assert [name for name in recipes if f'"{name}"' not in tests and f"{name}.md" not in tests] == []


def test_commands_are_in_blocks_that_this_looks_at():
    languages = {language for text in TEXTS.values() for language, _ in BLOCK.findall(text)}
    assert languages & {"bash", "console", "fish", "powershell", "shell", "shell-session", "zsh"} == set()
