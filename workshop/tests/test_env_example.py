"""`.env.example` is the manual: it names every variable that something reads, and none that nothing does."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = (ROOT / ".env.example").read_text()
# Variables that do nothing in this repository's own files: Compose itself reads them.
READ_BY_COMPOSE = {"COMPOSE_PROFILES"}


def variables():
    """Name and value of each line that sets one, also where it is commented out because it has no default there."""
    return dict(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE, re.MULTILINE))


def read_by_settings():
    """Those of the template: a project's own are its own to explain."""
    calls = (node for node in ast.walk(ast.parse((ROOT / "kit/settings.py").read_text())) if isinstance(node, ast.Call))
    # Directly, or through the two functions there that call it with a range and with choices.
    at = {"env.read": 1, "_number": 0, "_choice": 0}
    names = [call.args[at[ast.unparse(call.func)]] for call in calls if ast.unparse(call.func) in at]
    return {name.value for name in names if isinstance(name, ast.Constant)}


def read_by_compose():
    return set(re.findall(r"\$\{([A-Z][A-Z0-9_]*)", (ROOT / "docker-compose.yml").read_text()))


def read_by_scripts():
    scripts = [path for path in (ROOT / "docker").iterdir() if path.is_file() and path.name != "read_env"]
    scripts += (ROOT / "deploy").glob("*/stack")
    calls = r"(?:docker/read_env|check_port) ([A-Z][A-Z0-9_]*)"
    return {name for script in scripts for name in re.findall(calls, script.read_text())}


def test_every_variable_that_the_settings_read_is_in_the_manual():
    assert read_by_settings() - set(variables()) == set()


def test_every_variable_that_compose_reads_is_in_the_manual():
    assert read_by_compose() - set(variables()) == set()


def test_every_variable_that_the_scripts_read_is_in_the_manual():
    assert {"READY_WITHIN", "HTTP_PORT"} <= read_by_scripts()
    assert read_by_scripts() - set(variables()) == set()


def test_the_manual_names_no_variable_that_nothing_reads():
    assert set(variables()) - read_by_settings() - read_by_compose() - read_by_scripts() - READ_BY_COMPOSE == set()


@pytest.mark.parametrize("name", sorted(variables()))
def test_a_variable_is_explained_before_it_is_set(name):
    paragraph = next(part for part in EXAMPLE.split("\n\n") if re.search(rf"^(# )?{name}=", part, re.MULTILINE))
    prose = [line for line in paragraph.splitlines() if re.match(r"# (?![A-Z][A-Z0-9_]*=)", line)]
    assert len(" ".join(prose)) > 40


def test_the_manual_shows_the_defaults_of_compose():
    shown = variables()
    defaults = re.findall(r"\$\{([A-Z][A-Z0-9_]*):-([^{}$]*)\}", (ROOT / "docker-compose.yml").read_text())
    assert len(defaults) > 15
    # Where a default is computed, the manual leaves the value empty.
    assert [(name, default) for name, default in defaults if shown[name] not in ("", default)] in (
        [],
        [("REVISION", "unknown")],
    )


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "REDIS_URL"])
def test_no_secret_has_a_value_in_the_manual_or_a_line_in_what_is_made_from_it(name):
    assert re.findall(rf"^.*\b{name}=.*$", EXAMPLE, re.MULTILINE) == [f"# {name}="]


def test_the_part_for_the_variables_of_the_project_is_the_last_one_and_sets_none():
    # docker/read_env --own takes all names above it for the template's.
    assert EXAMPLE.count("\n# --- Your own ---\n") == 1
    assert not re.search(r"^[A-Z_]+=|# --- ", EXAMPLE.split("# --- Your own ---\n")[1], re.MULTILINE)


def test_every_secret_of_the_stack_is_explained_and_made():
    names = re.findall(r"file: \./secrets/(\w+)", (ROOT / "docker-compose.yml").read_text())
    assert names
    assert set(re.findall(r"^#   ([a-z0-9_]+)  +[A-Z]", EXAMPLE, re.MULTILINE)) == set(names)
    assert set(re.findall(r"^secret (\w+) ", (ROOT / "docker/configure").read_text(), re.MULTILINE)) == set(names)
