"""`make rename NAME=…`: gives the project another name, everywhere in the checkout.

The name that it has is in pyproject.toml. Each place where that stands as a word is the project's, but for lines and
files that had the word before it was the project's name: Git remembers those.
"""

import importlib.util
import keyword
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import polib

ROOT = Path(__file__).resolve().parent.parent
# Whose template this was stays true.
KEPT = {"LICENSE", "CHANGELOG.md"}
# docker/restore calls a database after it, with 32 more characters, and PostgreSQL takes 63.
LONGEST = 30
# In the standard library of a Python that this one need not be.
NEWER_MODULES = {"annotationlib", "compression"}
# What PostgreSQL takes only in quotation marks (pg_get_keywords, R and T), or not at all.
RESERVED = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
    column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze
    from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit
    localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references
    returning right select session_user similar some symmetric system_user table tablesample then to trailing true
    union unique user using variadic verbose when where window with
    none public postgres template0 template1
"""


def word(name: str) -> re.Pattern:
    """Where `name` stands for itself, as it does in name_edge, name-web, NAME_, before a Korean particle and behind an
    escape (\\nname): not in names, rename, my_name or co-name."""
    begin = r"(?:(?<![A-Za-z0-9_])(?<![A-Za-z0-9]-)|(?<=\\[nrt]))"
    return re.compile(rf"{begin}{re.escape(name)}(?![A-Za-z0-9])", re.IGNORECASE)


def present_name(pyproject: str) -> str:
    return tomllib.loads(pyproject)["project"]["name"]


def run(*command: str | Path) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}.")
    except subprocess.CalledProcessError as error:
        sys.exit(error.stderr.strip() or error.stdout.strip() or f"{command[0]} failed, and does not say why.")


def files() -> list[Path]:
    """What Git tracks or would take."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return sorted(Path(name) for name in set(listed) - KEPT - {""} if Path(name).is_file())


def texts() -> dict[Path, str]:
    found = {}
    for path in files():
        data = path.read_bytes()
        if b"\0" not in data:
            found[path] = data.decode(errors="surrogateescape")
    return found


def other_words(name: str) -> set[str]:
    """Lines, and names of files and folders, that had the word when the project was called otherwise."""
    commit = "HEAD"
    if present_name(run("git", "show", "HEAD:./pyproject.toml")) == name:
        commit = run("git", "log", "-1", "--format=%H^", "-S", f'name = "{name}"', "--", "pyproject.toml").strip()
    find = ["git", "grep", "-h", "-I", "--ignore-case", "--fixed-strings", name, commit, "--", "."]
    # Nothing is found, too, where the history begins with this name.
    lines = subprocess.run(find, capture_output=True, text=True, check=False).stdout.split("\n")
    paths = subprocess.run(["git", "ls-tree", "-r", "--name-only", commit], capture_output=True, text=True, check=False)
    words = {line.strip() for line in lines} | {part for path in paths.stdout.split("\n") for part in Path(path).parts}
    return {each for each in words if word(name).search(each)}


def refuse_name(new: str, old: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", new):
        sys.exit(
            f"'{new}' is no name that Python, PostgreSQL and Docker all take: expected lower-case letters, digits and"
            " single underscores between them, a letter first, such as in `make rename NAME=…`."
        )
    if len(new) > LONGEST:
        sys.exit(f"'{new}' has {len(new)} characters, and {LONGEST} are the most that PostgreSQL leaves room for.")
    if new == old:
        sys.exit(f"The project is called {old} already.")
    if keyword.iskeyword(new):
        sys.exit(f"'{new}' is a word of Python's own language: choose another name.")
    if new.startswith("pg_") or new in RESERVED.split():
        sys.exit(f"'{new}' is reserved by PostgreSQL: choose another name.")
    if new in {each.name.casefold() for each in Path().iterdir()}:
        sys.exit(f"There is '{new}' in this folder already: choose another name, or remove it.")
    if new in sys.stdlib_module_names | NEWER_MODULES or importlib.util.find_spec(new):
        sys.exit(f"'{new}' is a module that Python or an installed package brings: choose another name.")


def refuse_places(new: str, old: re.Pattern, others: set[str]) -> None:
    names = {part for path in files() for part in path.parts}
    for name in names:
        if old.search(name) and name not in others and old.sub(new, name) in names:
            sys.exit(f"There is '{old.sub(new, name)}' in this project already: choose another name.")
    taken = word(new)
    for path, text in texts().items():
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip() in others or not old.search(line):
                continue
            if taken.search(line):
                sys.exit(
                    f"{path}:{number} says '{new}' already, which could not be told apart there: choose another name."
                )
            # A model, a column or an application is called so in databases too.
            if "migrations" in path.parts:
                sys.exit(f"{path}:{number} gives the name to databases: call that otherwise by a migration first.")


def refuse_tree() -> None:
    committed = ["git", "rev-parse", "--quiet", "--verify", "HEAD:./pyproject.toml"]
    if subprocess.run(committed, capture_output=True, check=False).returncode:
        sys.exit(
            f"{ROOT} is not under Git, which finds the files and leads back: git init, git add --all, git commit first."
        )
    if os.environ.get("FORCE") != "1" and run("git", "status", "--porcelain", "."):
        sys.exit("There are changes that are not committed: commit or stash them, or say FORCE=1 to rename anyway.")


def refuse_examples(without: list[str]) -> None:
    there = [path.parent.name for path in sorted(Path("apps").glob("*/example.toml"))]
    for name in without:
        if name not in there:
            sys.exit(f"WITHOUT='{name}' is no example that is here: expected {' or '.join(there) or 'nothing'}.")


def move(old: re.Pattern, called, others: set[str]) -> int:
    """Folders and files: the deepest first, so that the way to the others stays."""
    paths = {part for path in files() for part in [path, *path.parents] if old.search(part.name)}
    paths = {path for path in paths if path.name not in others}
    for path in sorted(paths, key=lambda path: len(path.parts), reverse=True):
        target = path.with_name(old.sub(called, path.name))
        if run("git", "ls-files", "--", path):
            run("git", "mv", path, target)
        else:
            path.rename(target)
    return len(paths)


def rewrite(old: re.Pattern, called, others: set[str]) -> list[Path]:
    changed = []
    for path, text in texts().items():
        lines = [line if line.strip() in others else old.sub(called, line) for line in text.split("\n")]
        if (new := "\n".join(lines)) != text:
            path.write_bytes(new.encode(errors="surrogateescape"))
            changed.append(path)
    for path in changed:
        if path.suffix == ".po":
            polib.pofile(path).save_as_mofile(path.with_suffix(".mo"))
    if python := [path for path in changed if path.suffix == ".py"]:
        # Another name has another place among the imports and another length, for which some lines have no room.
        ruff = (sys.executable, "-m", "ruff")
        run(*ruff, "check", "--quiet", "--fix-only", "--fixable", "I,RUF100", *python)
        run(*ruff, "format", "--quiet", "--force-exclude", *python)
        run(*ruff, "check", "--quiet", "--select", "E501", "--add-noqa", *python)
    return changed


def has_data(project: str) -> bool:
    """Are there volumes or containers of it? Where Docker does not say, there may be."""
    label = f"label=com.docker.compose.project={project}"
    for listing in (["volume", "ls"], ["ps", "--all"]):
        try:
            command = ["docker", *listing, "--quiet", "--filter", label]
            if subprocess.run(command, capture_output=True, check=True).stdout:
                return True
        except (OSError, subprocess.CalledProcessError):
            return True
    return False


def rename_installation(old: str, new: str, project: str) -> None:
    """An installation that has data keeps the names that it was made with: its volumes and its role are called so."""
    if project != old or not (Path(".env").exists() or Path("secrets").exists()):
        return
    if has_data(project):
        run("docker/configure", f"COMPOSE_PROJECT_NAME={old}")
        print(
            f"The stack of this machine stays {old} (COMPOSE_PROJECT_NAME in .env), and its data where it is; the next"
            " release\nbrings the renamed code into service. Another name for it: docs/operations.md."
        )
        return
    address = Path("secrets/database_url")
    if address.exists():
        ours = rf"://{old}:([^@]*)@postgres:5432/{old}\b"
        address.write_text(re.sub(ours, rf"://{new}:\1@postgres:5432/{new}", address.read_text()))
    run("docker/configure", *(f"{name}={new}" for name in ("COMPOSE_PROJECT_NAME", "POSTGRES_USER", "POSTGRES_DB")))
    print(f".env and secrets/database_url, which no stack has used yet, say {new} too.")


def main() -> None:
    os.chdir(ROOT)
    old = present_name(Path("pyproject.toml").read_text())
    new = sys.argv[1]
    if not Path(old, "settings.py").is_file():
        sys.exit(f"pyproject.toml calls the project '{old}', and there is no {old}/settings.py: make them one first.")
    without = [name.strip() for name in os.environ.get("WITHOUT", "").split(",") if name.strip()]
    refuse_name(new, old)
    refuse_tree()
    refuse_examples(without)
    others = other_words(old)
    refuse_places(new, word(old), others)
    project = run("docker/read_env", "COMPOSE_PROJECT_NAME").strip()

    for name in without:
        print(f"Taking {name} out …", flush=True)
        print(run("bin/remove_example", name), end="")
    print(f"{old} becomes {new} …", flush=True)

    def called(found: re.Match) -> str:
        return new.upper() if found[0].isupper() else new if found[0].islower() else new.capitalize()

    moved = move(word(old), called, others)
    changed = rewrite(word(old), called, others)
    print(f"{len(changed)} files say {new} now; {moved} folders and files are called so.")
    rename_installation(old, new, project)
    print(
        f"Next:\n  git diff HEAD --stat\n  make test\n  git add --all && git commit --message 'Rename {old} to {new}'"
    )


if __name__ == "__main__":
    main()
