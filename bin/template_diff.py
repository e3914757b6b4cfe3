"""`make template-diff`: what the template has changed since this project was made of it, in this project's own names.

The template is the remote `template`, or FROM. The two states are written into this repository as one commit, on a
history of its own, so that Git can take it over like any other: `git cherry-pick template/changes`.

The commit that the project has last is the later of the one that .template names, which that commit brings along, and
the last that both histories have; where they have none, the one that the first commit here resembles most. BASE
overrules them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORD = ".template"


def git(*command: str | Path, check: bool = True, **options) -> str:
    result = subprocess.run(
        ["git", *command], cwd=options.pop("cwd", ROOT), capture_output=True, text=True, check=False, **options
    )
    if check and result.returncode:
        sys.exit(result.stderr.strip() or f"git {command[0]} failed, and does not say why.")
    return result.stdout.strip()


def commit(name: str) -> str:
    return git("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}", check=False)


def named(commit: str) -> str:
    return git("log", "-1", "--format=%h of %as", commit)


# --- What to compare ---


def fetched() -> str:
    """The template's newest commit, or that of TO."""
    source = os.environ.get("FROM")
    if not source:
        if "template" not in git("remote").split():
            sys.exit(
                "Where is the template? Say it once: git remote add template ADDRESS (in a clone of it: git remote"
                " rename origin template), or each time: make template-diff FROM=ADDRESS."
            )
        source = "template"
    git("fetch", "--quiet", "--no-tags", source, os.environ.get("TO") or "HEAD")
    return commit("FETCH_HEAD")


def taken_over(new: str) -> str:
    """The template's commit that this project has."""
    if wanted := os.environ.get("BASE"):
        return commit(wanted) or sys.exit(f"BASE='{wanted}' is no commit that is known here or in the template.")
    record = ROOT / RECORD
    recorded = commit(record.read_text().split()[-1]) if record.exists() else ""
    common = git("merge-base", "HEAD", new, check=False)
    if recorded and common:
        return common if git("merge-base", recorded, common) == recorded else recorded
    return recorded or common or resembled(new)


def resembled(new: str) -> str:
    first = git("rev-list", "--max-parents=0", "HEAD").split()[-1]
    here = blobs(tree_of(first, project_name(new)))
    best, agrees = "", -1
    # The oldest of those that are alike: what is shown without need merges by itself, what is not shown is lost.
    for candidate in git("rev-list", new).split():
        if (same := len(here & blobs(candidate))) >= agrees:
            best, agrees = candidate, same
    if agrees * 2 < len(here):
        sys.exit(
            "There is no history of the template here, and none of its commits is like the first here: say BASE=COMMIT."
        )
    say(
        f"There is no history of the template here. The beginning is taken to be {named(best)}, with which the first"
        f" commit\nagrees in {agrees} of {len(here)} files. Another one: BASE=COMMIT."
    )
    return best


def blobs(tree: str) -> set[str]:
    return set(git("ls-tree", "-r", tree).splitlines())


def project_name(commit: str) -> str:
    return tomllib.loads(git("show", f"{commit}:pyproject.toml"))["project"]["name"]


# --- In this project's words ---


@contextmanager
def checked_out(commit: str):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "tree"
        git("worktree", "add", "--quiet", "--detach", folder, commit)
        try:
            yield folder
        finally:
            git("worktree", "remove", "--force", folder)


def tree_of(commit: str, name: str) -> str:
    """Its tree, as `make rename NAME=…` of this checkout would have made it."""
    old = project_name(commit)
    if old == name:
        return git("rev-parse", f"{commit}^{{tree}}")
    with checked_out(commit) as folder:
        # This checkout's, whatever the other has.
        script = folder / "bin/.rename.py"
        shutil.copy(ROOT / "bin/rename.py", script)
        result = subprocess.run(
            [sys.executable, script, name],
            cwd=folder, env={**os.environ, "FORCE": "1", "WITHOUT": ""}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        script.unlink()
        if result.returncode:
            sys.exit(f"{named(commit)} of the template can't be called {name}: {result.stderr.strip()}")
        git("add", "--all", cwd=folder)
        return git("write-tree", cwd=folder)


def written(base: str, new: str) -> str:
    """The commit from the one state to the other, without what has been removed here, and with the new record."""
    name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
    here = set(git("ls-files").splitlines())
    trees = {"base": tree_of(base, name), "new": tree_of(new, name)}
    files = {key: set(git("ls-tree", "-r", "--name-only", tree).splitlines()) for key, tree in trees.items()}
    # Files that were taken out, and what has come to folders that were.
    folders = {os.path.dirname(path) for path in files["base"]} - {os.path.dirname(path) for path in here}
    gone = {path for path in files["base"] - here} | {path for path in files["new"] if os.path.dirname(path) in folders}
    environment = {
        **os.environ,
        **{f"GIT_{who}_{what}": "template" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    made = ""
    with tempfile.TemporaryDirectory() as folder:
        environment["GIT_INDEX_FILE"] = f"{folder}/index"
        for key, state in (("base", base), ("new", new)):
            git("read-tree", trees[key], env=environment)
            if paths := gone & files[key]:
                git("update-index", "--force-remove", "-z", "--stdin", input="\0".join(sorted(paths)), env=environment)
            if key == "new" or RECORD in here:
                text = f"# What this project has of its template (make template-diff).\n{state}\n"
                text = text if key == "new" else (ROOT / RECORD).read_text()
                blob = git("hash-object", "-w", "--stdin", input=text, env=environment)
                git("update-index", "--add", "--cacheinfo", f"100644,{blob},{RECORD}", env=environment)
            message = f"Take over the template up to {named(state)}"
            parent = ["-p", made] if made else []
            made = git("commit-tree", git("write-tree", env=environment), *parent, "-m", message, env=environment)
    git("update-ref", "refs/template/changes", made)
    return made


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    os.chdir(ROOT)
    if not commit("HEAD"):
        sys.exit(f"{ROOT} has no commits: git init, git add --all and git commit first.")
    new = fetched()
    base = taken_over(new)
    if base == new:
        say(f"The template has changed nothing since {named(base)}, which is here.")
        return
    made = written(base, new)
    say(f"The template, from {named(base)} to {named(new)}:\n")
    subjects = git("log", "--reverse", "--no-merges", "--format=%s", f"{base}..{new}").splitlines()
    say("".join(f"  {subject}\n" for subject in subjects))
    subprocess.run(["git", "diff", "--stat", "--patch", f"{made}^", made, "--", f":!{RECORD}"], check=False)
    say("\nTo take it over: git cherry-pick template/changes (docs/upgrading.md)")


if __name__ == "__main__":
    main()
