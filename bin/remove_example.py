"""What belongs to an example application NAME is known by four things, and taken out by them:

- its folder, apps/NAME, and the files that apps/NAME/example.toml names;
- lines that end in the comment `only with NAME`, which may go on with `, else` and what takes their place;
- what lies between a line `only with NAME` and a line `end of NAME`, in any kind of comment;
- rows of tables and pictures in the documents that name one of those files, or begin with its words.

What lies in apps/NAME/instead takes its place. Translations go by the files that they are for. With the last example go
this script, and what is `only with examples`.
"""

import contextlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import polib

ROOT = Path(__file__).resolve().parent.parent
# What is taken out with the last example: this, which has nothing left to do.
OURS = ["bin/remove_example", "bin/remove_example.py", "tests/test_remove_example.py"]


def main(arguments: list[str]) -> str:
    names = sorted(path.parent.name for path in ROOT.glob("apps/*/example.toml"))
    if len(arguments) != 1 or arguments[0] not in names:
        asked = " ".join(arguments) or "Nothing"
        raise SystemExit(f"{asked} is not one of the example applications, which are: {', '.join(names)}.")
    (name,) = arguments
    is_last = names == [name]
    example = tomllib.loads((ROOT / "apps" / name / "example.toml").read_text())
    gone = [f"apps/{name}", *example["files"], *(OURS if is_last else [])]
    # First all, and only then written: what is wrong is found before anything is changed.
    changed = {}
    for path, text in texts().items():
        if not any(path.is_relative_to(each) for each in gone):
            shorter = without(name, path, text)
            if is_last:
                shorter = without("examples", path, shorter)
            if path.suffix == ".md":
                shorter = without_rows(example["words"], gone, shorter)
            if shorter != text:
                changed[path] = shorter
    for path, text in changed.items():
        (ROOT / path).write_text(text)
    move(ROOT / "apps" / name / "instead")
    for path in gone:
        remove(ROOT / path)
    translate(name)
    tidy()
    return report(name, example["words"])


def texts() -> dict[Path, str]:
    """All text that Git tracks or would take, by its path in the project."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {}
    for path in map(Path, sorted(set(listed.stdout.splitlines()))):
        if (ROOT / path).is_file():
            with contextlib.suppress(UnicodeDecodeError):
                found[path] = (ROOT / path).read_text()
    return found


def without(name: str, path: Path, text: str) -> str:
    begin = re.compile(rf"\s*(#|//|<!--|/\*) only with {name}( -->| \*/)?\s*")
    end = re.compile(rf"\s*(#|//|<!--|/\*) end of {name}( -->| \*/)?\s*")
    last = re.compile(rf"(\s*).*\S\s+(?:#|//|<!--) only with {name}(?:, else (.*?))?(?: -->)?\s*")
    kept, inside = [], 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if begin.fullmatch(line):
            inside = number
        elif end.fullmatch(line):
            inside = 0
        elif inside:
            continue
        elif found := last.fullmatch(line):
            kept += [f"{found[1]}{found[2]}\n"] if found[2] else []
        else:
            kept.append(line)
    if inside:
        raise SystemExit(f"{path}:{inside} begins what is only with {name}, and no line 'end of {name}' ends it.")
    # An option of a command that names them: WITHOUT=wishes,lab.
    return re.sub(rf"( WITHOUT=)([\w,]*\b{name}\b[\w,]*)", lambda found: _others(found, name), "".join(kept))


def without_rows(words: str, gone: list[str], text: str) -> str:
    about = re.compile(rf"(?i)\|[^|]*{words}|(\||!\[).*({'|'.join(map(re.escape, gone))})\b")
    kept = "".join(line for line in text.splitlines(keepends=True) if not about.match(line))
    return re.sub(r"\n{3,}", "\n\n", kept)


def _others(found, name):
    others = ",".join(other for other in found[2].split(",") if other != name)
    return f"{found[1]}{others}" if others else ""


def move(folder):
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            target = ROOT / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def translate(name):
    for path in ROOT.glob("*/locale/*/LC_MESSAGES/django.po"):
        catalog = polib.pofile(path, wrapwidth=100)
        for entry in list(catalog):
            instead = [(file.removeprefix(f"apps/{name}/instead/"), line) for file, line in entry.occurrences]
            entry.occurrences = [(file, line) for file, line in instead if (ROOT / file).exists()]
            if not entry.occurrences:
                catalog.remove(entry)
        catalog.save()
        catalog.save_as_mofile(path.with_suffix(".mo"))


def tidy():
    """Imports that nobody needs any more, and empty lines."""
    ruff = [sys.executable, "-m", "ruff"]
    # What it finds wrong in files of one's own is for `make lint` to say.
    for command in (["check", "--silent", "--fix", "--select", "F401,I001", "."], ["format", "--silent", "."]):
        subprocess.run([*ruff, *command], cwd=ROOT, check=False)


def report(name, words):
    """The lines that speak of it all the same. Those that somebody has added have to be worded anew by hand."""
    found = []
    for path, text in texts().items():
        if path.name != "CHANGELOG.md":
            lines = enumerate(text.splitlines(), 1)
            found += [f"  {path}:{number}" for number, line in lines if re.search(f"(?i){words}", line)]
    if found:
        return "\n".join([f"{name} is out, but these lines speak of it: word them anew.", *found])
    return f"{name} is out."


if __name__ == "__main__":
    print(main(sys.argv[1:]))
