"""make rename NAME=shop: makes a clone of the template its owner's. `git reset --hard` takes it back until the commit.

KEEP=wishes keeps the example, CI=gitlab or CI=github says what the address of `origin` does not, LANGUAGES=ko,en keeps
both, the first as the default, and FORCE=1 takes along what is not committed.
"""

import importlib.util
import keyword
import os
import re
import runpy
import shutil
import sys
from pathlib import Path

os.chdir(Path(__file__).resolve().parent.parent)
OLD, EXAMPLE = "wisheasy", "wishes"
CI = {"github": ".github", "gitlab": ".gitlab-ci.yml"}
# What PostgreSQL keeps for itself, or takes in quotation marks only, as the name of a database or a role.
POSTGRESQL = r"pg_.*|template[01]|all|any|default|group|order|postgres|public|table|user"
update = runpy.run_path("bin/update")
git = update["git"]


def refuse_if(is_so: object, sentence: str) -> None:
    if is_so:
        sys.exit(sentence)


def remove(*paths: str) -> None:
    for path in map(Path, paths):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def edit(path: str, pattern: str, new: str) -> None:
    Path(path).write_text(re.sub(pattern, new, Path(path).read_text(), flags=re.MULTILINE))


def put_name_in(path: Path, name: str) -> None:
    if (data := path.read_bytes()) and b"\0" not in data and not str(path).startswith(update["CONSTANT"]):
        path.write_bytes(update["renamed"](data, OLD, name))
    target = Path(str(path).replace(OLD, name))
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)


def main(name: str, keep: str, ci: str, languages: list[str]) -> None:
    wrong = f"NAME='{name}' is wrong: expected up to 30 lower-case letters, digits and single _, such as NAME=shop."
    refuse_if(not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > 30, wrong)
    taken = keyword.iskeyword(name) or importlib.util.find_spec(name) or name in sys.stdlib_module_names
    refuse_if(taken or Path(name).exists(), f"NAME='{name}' is taken by Python, a package or a file: choose another.")
    refuse_if(re.fullmatch(POSTGRESQL, name), f"NAME='{name}' is PostgreSQL's own: choose another.")
    refuse_if(keep not in ("", EXAMPLE), f"KEEP='{keep}' is wrong: expected {EXAMPLE}.")
    origin = git("remote", "get-url", "origin", check=False)
    ci = ci or ("gitlab" if "gitlab" in origin else "github")
    refuse_if(ci not in CI, f"CI='{ci}' is wrong: expected {' or '.join(CI)}.")
    known = dict(re.findall(r'\("(\w+)", (_\("\w+"\)|"[^"]+")\)', Path(OLD, "settings.py").read_text()))
    unknown = ",".join(set(languages) - set(known))
    refuse_if(unknown, f"LANGUAGES='{unknown}' is wrong: expected {' or '.join(known)}, with commas between them.")
    commit = update["find_commit"]("HEAD")
    refuse_if(not commit, "This is no Git checkout with a commit: git init, git add --all and git commit come first.")
    is_dirty = git("status", "--porcelain") and os.environ.get("FORCE") != "1"
    refuse_if(is_dirty, "There are changes that are not committed: commit or stash them, or set FORCE=1.")

    shutil.copytree("workshop/clone", ".", dirs_exist_ok=True)
    # What stays the template's keeps its licence.
    shutil.move("LICENSE", "kit/LICENSE")
    remove("workshop", ".ci", ".github/workflows/workshop.yml", "rename.mk", "README.ko.md")
    remove(*(path for provider, path in CI.items() if provider != ci))
    entries = ", ".join(f'("{code}", {known[code]})' for code in languages)
    edit(f"{OLD}/settings.py", r"^LANGUAGES = .*", f"LANGUAGES = [{entries}]")
    edit(f"{OLD}/settings.py", r"^LANGUAGE_CODE = .*", f'LANGUAGE_CODE = "{languages[0]}"')
    remove(*(path for path in Path().glob("[!.]*/**/locale/*") if path.name not in languages))
    if "ko" not in languages:
        for page in Path("docs").glob("*.ko.md"):
            edit(str(page).replace(".ko.md", ".md"), rf" ?\[한국어\]\({page.name}\)\n?", "")
            page.unlink()
    if keep != EXAMPLE:
        remove(f"apps/{EXAMPLE}")
        for file in ("settings.py", "urls.py"):
            edit(f"{OLD}/{file}", rf"^(\nfrom )?.*\b(apps\.{EXAMPLE}|TalkConsumer)\b.*\n", "")
    listed = git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for path in filter(Path.is_file, map(Path, listed)):
        put_name_in(path, name)
    remove(OLD)
    Path(".template").write_text(f"{OLD} {name} {commit}\n")
    git("add", "--all")
    # A history of one commit is the owner's own, with an `origin` of the owner's, unless it was cut.
    if origin and (git("rev-list", "--count", "HEAD") != "1" or git("rev-parse", "--is-shallow-repository") == "true"):
        git("remote", "rename", "origin", "template")
    print(f"{OLD} is {name} now. Next: make check, then git commit --message 'Begin {name}'")


if __name__ == "__main__":
    main(sys.argv[1], *map(os.environ.get, ("KEEP", "CI"), ("", "")), (os.environ.get("LANGUAGES") or "en").split(","))
