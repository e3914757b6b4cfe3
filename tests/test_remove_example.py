"""Each example application can be taken out, alone and with the others, and nothing of it stays."""

import re
import tomllib

import pytest

from tests.copies import Clone
from tests.servers import ROOT

EXAMPLES = {path.parent.name: tomllib.loads(path.read_text()) for path in sorted(ROOT.glob("apps/*/example.toml"))}
# What is quick, and speaks of what was changed.
CHOICE = [
    "apps/accounts/tests/test_sign_in.py", "apps/accounts/tests/test_sign_out.py", "apps/ops/tests/test_error_pages.py",
    "tests/test_env_example.py", "tests/test_readme.py", "tests/test_translations.py", "tests/test_compose.py",
]  # fmt: skip
WAYS = [[name] for name in EXAMPLES] + [list(EXAMPLES)][: len(EXAMPLES) - 1]


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


@pytest.mark.parametrize("names", WAYS, ids=",".join)
def test_an_example_is_taken_out_and_the_rest_passes(clone, names):
    for name in names:
        assert clone.run("bin/remove_example", name).stdout == f"{name} is out.\n"
    for name in names:
        words = EXAMPLES[name]["words"]
        # What users have gained once stays true.
        search = ["git", "grep", "--untracked", "--ignore-case", "--perl-regexp", words, "--", ":!CHANGELOG.md"]
        found = clone.run(*search, check=False)
        assert (found.returncode, found.stdout) == (1, ""), found.stderr
        assert not [path for path in clone.folder.rglob("*") if re.search(words, path.name)]
    left = [name for name in EXAMPLES if name not in names]
    assert [path.parent.name for path in sorted(clone.folder.glob("apps/*/example.toml"))] == left
    assert (clone.folder / "bin/remove_example").exists() == bool(left)
    home = clone.folder / "apps/home"
    clone.check(*CHOICE, *(["apps/home"] if home.exists() else []))


@pytest.mark.parametrize("names", [[], ["accounts"], [""], ["../apps"], [*EXAMPLES, "nothing"]], ids=",".join)
def test_what_is_no_example_is_refused_with_one_sentence(clone, names):
    result = clone.run("bin/remove_example", *names, check=False)
    assert result.returncode == 1
    assert result.stderr.endswith(f"is not one of the example applications, which are: {', '.join(EXAMPLES)}.\n")
    assert result.stderr.count("\n") == 1
    assert clone.run("git", "diff", "--stat").stdout == ""


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_mark_without_its_end_is_named_and_nothing_is_changed(clone, name):
    (clone.folder / "new.py").write_text(f"# only with {name}\nx = 1\n")
    result = clone.run("bin/remove_example", name, check=False)
    assert result.returncode == 1
    assert result.stderr == f"new.py:1 begins what is only with {name}, and no line 'end of {name}' ends it.\n"
    assert clone.run("git", "diff", "--stat").stdout == ""


@pytest.mark.parametrize("name", EXAMPLES)
def test_lines_of_ones_own_that_speak_of_it_are_named(clone, name):
    (clone.folder / "new.py").write_text(f'"""As in apps.{name}."""\n')
    said = clone.run("bin/remove_example", name).stdout
    assert said == f"{name} is out, but these lines speak of it: word them anew.\n  new.py:1\n"
