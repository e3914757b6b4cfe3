"""What the scripts read from .env and write into it is what Compose reads there."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kit.environment import as_origin

from .test_docker_scripts import DOCKER, needs_compose

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = needs_compose
SHELL = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "OF_SHELL": "shell", "SHADOWED": "shell"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A folder for each test, with what the scripts need."""
    original = tmp_path_factory.mktemp("original")
    shutil.copytree(ROOT / "docker", original / "docker")
    for name in (".env.example", "docker-compose.yml"):
        shutil.copy(ROOT / name, original)
    return lambda name: shutil.copytree(original, tmp_path_factory.mktemp(name) / "copy")


@pytest.fixture
def project(copy):
    return copy("project")


def run(folder, *command, **variables):
    return subprocess.run(
        command, cwd=folder, env={**SHELL, **variables}, capture_output=True, text=True, timeout=60, check=False
    )


def of_compose(folder, names, **variables):
    """What a container gets for `${NAME:-}`."""
    file = {"services": {"x": {"image": "x", "environment": {name: f"${{{name}:-}}" for name in names}}}}
    (folder / "probe.json").write_text(json.dumps(file))
    command = [DOCKER, "compose", "--file", "probe.json", "config", "--format", "json"]
    result = run(folder, *command, **variables)
    assert result.returncode == 0, result.stderr
    # Compose doubles each $ of what it shows, for who reads it as a Compose file.
    return {
        name: value.replace("$$", "$")
        for name, value in json.loads(result.stdout)["services"]["x"]["environment"].items()
    }


# Name, lines of .env in this order, value.
LINES = [
    ("PLAIN", "PLAIN=a", "a"),
    ("EMPTY", "EMPTY=", ""),
    ("EXPORTED", "export EXPORTED=a", "a"),
    ("EXPORTED_FAR", "  export \t EXPORTED_FAR = a", "a"),
    ("SPACED", "SPACED = a", "a"),
    ("INDENTED", "  INDENTED=a", "a"),
    ("TABBED", "\tTABBED=a", "a"),
    ("TRAILING", "TRAILING=a   ", "a"),
    ("COLON", "COLON: a", "a"),
    ("COMMENTED", "COMMENTED=a # b", "a"),
    ("HASH", "HASH=a#b", "a#b"),
    ("COMMENTED_QUOTES", "COMMENTED_QUOTES='a # b' # c", "a # b"),
    ("SPACES", "SPACES=a b  c", "a b  c"),
    ("ADDRESS", "ADDRESS=https://a.example:8443/x?y=z&v=%20", "https://a.example:8443/x?y=z&v=%20"),
    ("SINGLE", "SINGLE='a b'", "a b"),
    ("DOUBLE", 'DOUBLE="a b"', "a b"),
    ("NO_QUOTES", "NO_QUOTES=a'b\"c", "a'b\"c"),
    ("SINGLE_DOLLAR", "SINGLE_DOLLAR='a$b${c}'", "a$b${c}"),
    ("SINGLE_BACKSLASH", r"SINGLE_BACKSLASH='a\n\\b'", r"a\n\\b"),
    ("SINGLE_QUOTE", r"SINGLE_QUOTE='it\'s'", "it's"),
    ("DOUBLE_QUOTE", r'DOUBLE_QUOTE="say \"a\""', 'say "a"'),
    ("DOUBLE_ESCAPES", r'DOUBLE_ESCAPES="a\tb\nc\\d"', "a\tb\nc\\d"),
    ("DOUBLE_DOLLAR", r'DOUBLE_DOLLAR="a\$b"', "a$b"),
    ("TWO_DOLLARS", "TWO_DOLLARS=a$$b", "a$b"),
    ("BACKSLASH", r"BACKSLASH=a\b", r"a\b"),
    ("BRACES", "BRACES=${PLAIN}b", "ab"),
    ("NO_BRACES", "NO_BRACES=$PLAIN", "a"),
    ("IN_DOUBLE", 'IN_DOUBLE="${PLAIN} b"', "a b"),
    ("DEFAULT", "DEFAULT=${UNSET_ONE:-a}", "a"),
    ("DEFAULT_OF_DEFAULT", "DEFAULT_OF_DEFAULT=${UNSET_ONE:-${UNSET_TWO-${PLAIN}}}", "a"),
    ("OTHERWISE", "OTHERWISE=${PLAIN:+b}", "b"),
    ("UNKNOWN", "UNKNOWN=a${UNSET_ONE}b", "ab"),
    ("FROM_SHELL", "FROM_SHELL=${OF_SHELL}", "shell"),
    ("SHADOWED", "SHADOWED=file", "shell"),
    ("TWICE", "TWICE=a\nTWICE=b", "b"),
    ("CRLF", "CRLF=a\r", "a"),
    ("CRLF_QUOTED", "CRLF_QUOTED='a b'\r", "a b"),
    ("SCRIPT", "SCRIPT=한국", "한국"),
    ("SEVERAL", 'SEVERAL="a\nINNER=b\n  c"', "a\nINNER=b\n  c"),
    ("SEVERAL_SINGLE", "SEVERAL_SINGLE='{\n  \"a\": 1\n}'", '{\n  "a": 1\n}'),
    ("lower_1", "lower_1=a", "a"),
    ("OF_SHELL", "OF_SHELL", "shell"),
    ("NOT_SET", "# NOT_SET=a", ""),
    ("INNER", "", ""),
    # Defaults of .env.example.
    ("HTTP_PORT", "export HTTP_PORT = 9000 # mine", "9000"),
    ("SERVER_MODE", 'SERVER_MODE="asgi"', "asgi"),
    ("SLOT", "SLOT=", "blue"),
    ("COMPOSE_PROFILES", "COMPOSE_PROFILES=${SERVER_MODE}", "asgi"),
]
DEFAULTS = {"SLOT"}


@pytest.fixture(scope="module")
def table(copy):
    """The folder of a file with all these lines, and what the scripts and Compose read there."""
    folder = copy("table")
    (folder / ".env").write_text("\n".join(["# First.", "", *(line for _, line, _ in LINES), ""]), newline="")
    names = [name for name, _, _ in LINES]
    # All at once, with a line between them that is in no value.
    asked = [each for name in names for each in (name, "BETWEEN")]
    result = run(folder, "docker/read_env", *asked, BETWEEN="---")
    assert (result.returncode, result.stderr) == (0, "")
    read = dict(zip(names, result.stdout.removesuffix("---\n").split("---\n"), strict=True))
    return folder, read, of_compose(folder, names)


@pytest.mark.parametrize(("name", "line", "value"), LINES, ids=[name for name, _, _ in LINES])
def test_the_scripts_read_a_line_of_the_env_file_as_compose_does(table, name, line, value):
    _, scripts, compose = table
    assert scripts[name] == f"{value}\n"
    assert compose[name] == ("" if name in DEFAULTS else value)


def test_the_projects_own_names_are_those_that_compose_finds(table):
    folder, *_ = table
    template = {"HTTP_PORT", "SERVER_MODE", "SLOT", "COMPOSE_PROFILES"}
    set_here = {name for name, line, _ in LINES if line not in ("", name, f"# {name}=a")}
    assert set(run(folder, "docker/read_env", "--own").stdout.split()) == set_here - template


@pytest.mark.parametrize("arguments", [["HTTP_PORT"], ["--own"]], ids=" ".join)
def test_a_file_that_compose_refuses_is_refused_with_its_reason(project, arguments):
    (project / ".env").write_text('OWN=1\nHTTP"PORT=9000\n')
    result = run(project, "docker/read_env", *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Compose does not understand .env: failed to read ")
    assert "line 2" in line


@pytest.mark.parametrize(
    ("line", "value"),
    [("", "wisheasy"), ("COMPOSE_PROJECT_NAME=shop", "shop"), ("export COMPOSE_PROJECT_NAME='shop' # mine", "shop")],
)
def test_the_name_of_the_stack_is_the_one_that_compose_gives_it(project, line, value):
    (project / ".env").write_text(f"SERVER_MODE=wsgi\n{line}\n")
    named = run(project, DOCKER, "compose", "config", "--format", "json").stdout
    assert json.loads(named)["name"] == value
    assert run(project, "docker/read_env", "COMPOSE_PROJECT_NAME").stdout == f"{value}\n"


def test_without_compose_the_shell_and_the_manual_are_read(project, tmp_path):
    for program in ("sh", "sed", "grep", "awk", "dirname"):
        (tmp_path / program).symlink_to(shutil.which(program))
    names = ["HTTP_PORT", "SITE_URL", "SLOT", "COMPOSE_PROFILES"]
    result = run(project, "docker/read_env", *names, PATH=str(tmp_path), SLOT="green", SERVER_MODE="asgi")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["8080", "", "green", "green-asgi"]


# --- What docker/configure writes ---

VALUES = {
    "AMPERSAND": "a&b",
    "BAR": "a|b",
    "BACKSLASHES": "a\\b\\\\c\\1\\n\\",
    "NEWLINE": "a\nb=c\n\nd",
    "DOLLARS": "$a ${b} $$c \\$d",
    "HASHES": "# a #b",
    "QUOTES": "'a' \"b\" `c`",
    "SINGLE": "it's",
    "DOUBLE": '"a"',
    "ESCAPED": "\\'\\\"$x",
    "SPACES": "  a  ",
    "COLON": ": a",
    "EQUALS": "a=b==",
    "SCRIPT": "한국 é",
    "SITE_URL": "https://한국.test,https://www.example.com:8443",
    "HTTPS_PORT": "8443",
    "IMAGE": "registry.example:5000/a/b",
    "TAG": "sha256:" + "0" * 64,
}


@pytest.mark.parametrize("before", ["none", "there"])
def test_what_is_set_is_read_back_as_it_was_given(project, before):
    if before == "there":
        (project / ".env").write_text("".join(f"  export {name} = 'before\nX=1' # y\n" for name in VALUES))
    result = run(project, "docker/configure", *(f"{name}={value}" for name, value in VALUES.items()))
    assert (result.returncode, result.stderr) == (0, "")
    assert of_compose(project, VALUES) == VALUES
    if before == "there":
        assert len((project / ".env").read_text().splitlines()) == sum(len(v.splitlines()) for v in VALUES.values())


@pytest.mark.parametrize(
    "line",
    ["SLOT=blue", "export SLOT=blue", "  SLOT = blue # serves", "SLOT: 'blue'", "SLOT=x\nSLOT=blue", 'SLOT="b\nlue"'],
)
def test_the_line_that_sets_a_variable_is_replaced_in_any_spelling(project, line):
    around = 'KEY="a\nSLOT=inside\nb" # c', 'SLOTS=1\n# SLOT=2\nMY_SLOT="it\'s"'
    (project / ".env").write_text("\n".join([around[0], line, around[1], ""]))
    assert run(project, "docker/configure", "SLOT=green").returncode == 0
    assert (project / ".env").read_text() == "\n".join([around[0], "SLOT=green", around[1], ""])


@pytest.mark.parametrize("word", ["SLOT", "=green", "2=3"])
def test_what_sets_no_variable_is_refused(project, word):
    result = run(project, "docker/configure", word)
    assert (result.returncode, result.stderr) == (1, f"'{word}' is wrong: expected NAME=VALUE.\n")
    assert not (project / ".env").exists()


# --- The ports of an https address ---

HTTPS = "SITE_URL=https://www.example.com"


@pytest.mark.parametrize(
    ("lines", "http", "https"),
    [
        pytest.param([HTTPS], "80", "443", id="none"),
        pytest.param([f"export {HTTPS}"], "80", "443", id="exported"),
        pytest.param([f"{HTTPS} # mine", "HTTP_PORT=8080"], "80", "443", id="that-of-the-manual"),
        pytest.param([HTTPS, "HTTP_PORT=8090"], "8090", "443", id="another"),
        pytest.param([HTTPS, "export HTTP_PORT = 127.0.0.1:8080"], "127.0.0.1:8080", "443", id="of-this-machine"),
        pytest.param([f"{HTTPS}:8443"], "8080", "8443", id="in-the-address"),
        pytest.param([HTTPS, "HTTPS_PORT=9443"], "8080", "9443", id="set"),
        pytest.param([HTTPS, "ACME_DIRECTORY=off"], "8080", "", id="a-proxy-has-the-certificate"),
        pytest.param(["SITE_URL=http://www.example.com"], "8080", "", id="http"),
    ],
)
def test_an_https_address_takes_the_ports_that_nothing_else_says(project, lines, http, https):
    (project / ".env").write_text("\n".join([*lines, ""]))
    result = run(project, "docker/configure")
    assert (result.returncode, result.stderr) == (0, "")
    assert (
        run(project, "docker/read_env", "HTTP_PORT", "HTTPS_PORT").stdout.splitlines()
        == [http, https][: 1 + bool(https)]
    )
    now = (project / ".env").read_text().splitlines()
    assert set(lines) - set(now) <= {"HTTP_PORT=8080"}
    changed = " ".join(line for line in sorted(set(now) - set(lines)))
    said = [line for line in result.stdout.splitlines() if line.startswith("SITE_URL")]
    assert said == ([f"SITE_URL is an https address, so .env now says: {changed}"] if changed else [])


def test_what_is_set_in_the_same_call_decides_about_the_ports(project):
    arguments = [HTTPS, "HTTP_PORT=127.0.0.1:8080", "ACME_DIRECTORY=off"]
    result = run(project, "docker/configure", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert set(arguments) | {"HTTPS_PORT="} <= set((project / ".env").read_text().splitlines())
    assert "so .env now says" not in result.stdout


# --- Ports of one address ---


@pytest.mark.parametrize(
    ("value", "host", "site"),
    [
        ("8080", None, "http://localhost:8080"),
        ("127.0.0.1:8080", "127.0.0.1", "http://127.0.0.1:8080"),
        ("[::1]:8080", "::1", "http://[::1]:8080"),
    ],
)
def test_a_port_with_an_address_is_published_there_and_the_site_is_found_there(project, value, host, site):
    (project / ".env").write_text(f"SERVER_MODE=wsgi\nHTTP_PORT={value}\nHTTPS_PORT={value.replace('80', '84')}\n")
    config = json.loads(run(project, DOCKER, "compose", "config", "--format", "json").stdout)
    ports = config["services"]["nginx"]["ports"]
    expected = [(host, "8080", "tcp"), (host, "8484", "tcp"), (host, "8484", "udp")]
    assert [(port.get("host_ip"), port["published"], port["protocol"]) for port in ports] == expected
    assert as_origin(config["services"]["nginx-files"]["environment"]["SITE_URL"]) == site
