import os
import re
import secrets
import subprocess
import sys
from unicodedata import normalize

import pytest

from kit import environment
from workshop.tests.servers import ROOT

GOOD = {"SECRET_KEY": "s3cret-of-the-test-" * 4}


def start(*command, **variables):
    """Run a command of the project in an environment of these variables alone."""
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**base, "DJANGO_SETTINGS_MODULE": "workshop.probe.settings", **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture(params=[["manage.py", "check"], ["-m", "kit.serving"]], ids=["manage", "gunicorn"])
def command(request):
    return request.param


def test_a_good_environment_passes():
    result = start("manage.py", "check", **GOOD)
    assert result.returncode == 0, result.stderr


def test_every_fault_is_named_at_once(command):
    result = start(
        *command,
        SECRET_KEY="short",
        SERVER_MODE="turbo",
        WEB_CONCURRENCY="many",
        PORT="0",
        SITE_URL="www.example.com",
        DATABASE_URL="postgres",
        REDIS_URL="localhost:6379",
        DEBUG="perhaps",
        LIMIT_PAGES="-1",
    )
    assert result.returncode == 1
    assert result.stderr.strip().splitlines() == [
        "SERVER_MODE='turbo' is wrong: expected one of wsgi, asgi, hybrid.",
        "SECRET_KEY is wrong: expected 50 or more random characters (`make run-wsgi` or `make up-wsgi` makes one).",
        "DEBUG='perhaps' is wrong: expected 1 or 0.",
        "PORT='0' is wrong: expected a port number, 1 to 65535.",
        "SITE_URL='www.example.com' is wrong: expected an address without a path, such as https://www.example.com "
        "or http://localhost:8080, or several of one scheme with nothing but commas between them.",
        "LIMIT_PAGES='-1' is wrong: expected requests a second, or 0 for no limit.",
        "DATABASE_URL is wrong: expected an address such as postgres://user:password@host:5432/name.",
        "REDIS_URL is wrong: expected an address such as redis://host:6379/0.",
        "WEB_CONCURRENCY='many' is wrong: expected a whole number of 1 or more.",
    ]


@pytest.mark.parametrize("name", ["CACHE_URL", "DATABASE_URL", "EMAIL_URL", "MEDIA_STORE", "REDIS_URL", "SENTRY_DSN"])
def test_an_unknown_scheme_is_named_in_one_sentence_without_what_is_secret(name):
    result = start("manage.py", "check", **GOOD, **{name: "gopher://user:hidden@example.com:70/1"})
    assert result.returncode == 1
    (sentence,) = result.stderr.splitlines()
    assert sentence.startswith(f"{name} is wrong: expected an address such as ")
    assert re.search(r"; 'gopher' is none of the schemes [a-z0-9+, ]+\.$", sentence)


def test_a_secret_may_come_as_a_file(tmp_path):
    (tmp_path / "key").write_text(secrets.token_urlsafe(64) + "\n")
    result = start("manage.py", "check", SECRET_KEY_FILE=str(tmp_path / "key"))
    assert result.returncode == 0, result.stderr


def test_a_secret_file_that_is_missing_is_named():
    result = start("manage.py", "check", SECRET_KEY_FILE="/nowhere/key")
    assert result.returncode == 1
    assert "SECRET_KEY_FILE" in result.stderr
    assert "Traceback" not in result.stderr


# --- A setting of the owner's


@pytest.fixture
def env(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "SECRET_FOLDERS", (tmp_path / "run", tmp_path / "secrets"))
    monkeypatch.setattr(environment.atexit, "register", lambda function: None)
    for folder in environment.SECRET_FOLDERS:
        folder.mkdir()
    return environment.Environment()


def read_key(env, default=environment.REQUIRED, **options):
    return env.read("str", "STRIPE_KEY", "a key of Stripe's", default, secret=True, **options)


def test_a_secret_is_read_from_the_nearest_place_that_has_one(env, monkeypatch, tmp_path):
    (tmp_path / "named").write_text("by-file\n")
    assert read_key(env, None) is None
    for value, put in [
        ("in-the-clone", lambda: (tmp_path / "secrets/stripe_key").write_text("in-the-clone\n")),
        ("in-the-container", lambda: (tmp_path / "run/stripe_key").write_text("in-the-container\n")),
        ("by-file", lambda: monkeypatch.setenv("STRIPE_KEY_FILE", str(tmp_path / "named"))),
        ("by-variable", lambda: monkeypatch.setenv("STRIPE_KEY", "by-variable")),
    ]:
        put()
        assert read_key(env) == value
    env.seal()


def test_what_is_no_secret_is_not_looked_for_in_the_folders(env, tmp_path):
    (tmp_path / "secrets/shop_name").write_text("Shop")
    assert env.read("str", "SHOP_NAME", "a name", "none") == "none"


def test_a_secret_that_is_wrong_is_never_shown(env, tmp_path, monkeypatch):
    (tmp_path / "secrets/stripe_key").write_text("not-a-key")
    read_key(env, validate=lambda value: value.startswith("sk_"))
    with pytest.raises(SystemExit) as stop:
        env.seal()
    assert stop.value.code == "STRIPE_KEY is wrong: expected a key of Stripe's."


def test_a_secret_that_may_not_be_read_is_a_sentence(env, tmp_path):
    (tmp_path / "secrets/stripe_key").write_bytes(b"\xff\xfe")
    read_key(env)
    with pytest.raises(SystemExit, match="STRIPE_KEY or STRIPE_KEY_FILE can't be read: "):
        env.seal()


@pytest.mark.parametrize(
    ("parser", "use"),
    [("str", lambda value: value.lower()), ("int", lambda value: 60 / value), ("list", lambda value: value[1:])],
)
def test_a_value_that_is_missing_fails_nothing_before_the_end_of_the_settings(env, parser, use):
    use(env.read(parser, "SHOP_THING", "a thing"))
    with pytest.raises(SystemExit, match="SHOP_THING is missing: expected a thing"):
        env.seal()


def test_after_the_end_of_the_settings_a_fault_stops_at_once(env):
    env.seal()
    assert env.read("int", "SHOP_LIMIT", "a number", 5) == 5
    with pytest.raises(SystemExit, match="STRIPE_KEY is missing"):
        read_key(env)


def settings_with(folder, line, seal="env.seal()"):
    (folder / "shop_settings.py").write_text(
        f"from workshop.probe.settings import *\nfrom kit.environment import Environment\n\n"
        f"import kit.environment\n\nkit.environment.env = env = Environment()\n{line}\n{seal}\n"
    )
    return {**GOOD, "DJANGO_SETTINGS_MODULE": "shop_settings", "PYTHONPATH": f"{folder}:{ROOT}"}


def test_settings_that_fail_before_their_end_name_the_fault_last(tmp_path):
    result = start("manage.py", "check", **settings_with(tmp_path, 'env.read("url", "SHOP_API", "an address").host'))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "SHOP_API is missing: expected an address."


REQUIRED = 'STRIPE_KEY = env.read("str", "STRIPE_KEY", "a key", secret=True)'


def test_where_nothing_is_served_a_value_may_be_missing_but_not_wrong(tmp_path):
    variables = {**settings_with(tmp_path, REQUIRED), "SETTINGS_STAND_INS": "1"}
    assert start("manage.py", "check", **variables).returncode == 0
    assert start("manage.py", "check", **variables, PORT="x").stderr.startswith("PORT='x' is wrong")


def test_nothing_is_served_with_values_that_may_be_missing(tmp_path):
    result = start("-m", "kit.serving", **settings_with(tmp_path, REQUIRED), SETTINGS_STAND_INS="1")
    assert result.returncode == 1
    assert result.stderr.strip() == "SETTINGS_STAND_INS is set, which hides missing values: unset it to serve."


def test_settings_without_their_last_line_stop_too(tmp_path, command):
    variables = settings_with(tmp_path, 'SHOP_API = env.read("str", "SHOP_API", "an address")', seal="")
    result = start(*command, **variables)
    assert (result.returncode, result.stderr.strip()) == (1, "SHOP_API is missing: expected an address.")


@pytest.mark.parametrize("variable", [{"DJANGO_SETTINGS_MODULE": ""}, {"DJANGO_SETTINGS_MODULE": "no.such.module"}])
def test_the_server_says_in_a_sentence_that_it_knows_no_settings(variable):
    result = start("-m", "kit.serving", **GOOD, **variable)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "DJANGO_SETTINGS_MODULE" in result.stderr


def test_an_empty_variable_counts_as_missing():
    result = start("manage.py", "check", **GOOD, WEB_CONCURRENCY="", REDIS_URL="")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "site",
    [
        "https://www.example.com",
        "http://localhost:8080",
        "http://[::1]:8000",
        "http://10.0.0.1",
        "https://a.example,https://b.example:8443",
        "https://intranet,https://a-b.1c.example",
        "https://" + ".".join(["a" * 63] * 3 + ["b" * 61]),
    ],
)
def test_these_are_public_addresses(site):
    assert start("manage.py", "check", **GOOD, SITE_URL=site).returncode == 0


@pytest.mark.parametrize(
    "site",
    [
        "ftp://example.com",
        "https://",
        "https://example.com/shop",
        "https://user@example.com",
        "https://example.com:x",
        "https://example.com,http://example.org",
        "https://example.com, https://example.org",
        "https://example.com,",
        "HTTPS://example.com",
    ],
)
def test_these_are_not_public_addresses(site):
    result = start("manage.py", "check", **GOOD, SITE_URL=site)
    assert result.returncode == 1
    assert result.stderr.startswith(f"SITE_URL={site!r} is wrong")


NO_HOST_NAMES = [
    "*.example.com", ".example.com", "example.com.", "a..example.com", "a_b.example.com", "-a.example.com",
    "a-.example.com", "a b.example.com", "example.com;", "10.0.0", "10.0.0.256", "straße.example", "한。국",
    "a" * 64 + ".example", ".".join(["a" * 63] * 3 + ["b" * 62]),
]  # fmt: skip


@pytest.mark.parametrize("place", ["only", "second", "third"])
def test_what_is_no_host_name_is_named_wherever_it_stands(place, monkeypatch):
    before = {"only": [], "second": ["https://a.example"], "third": ["https://a.example", "https://b.example"]}[place]
    for name in NO_HOST_NAMES:
        with pytest.raises(environment.WrongPart) as wrong:
            environment.are_origins([*before, f"https://{name}"])
        assert str(wrong.value).startswith(f"{name!r} is no host name: letters, digits and hyphens between dots")


def test_a_host_name_that_is_wrong_is_one_sentence_at_the_start(command):
    result = start(*command, **GOOD, SITE_URL="https://a.example,https://*.b.example")
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("SITE_URL='https://a.example,https://*.b.example' is wrong: expected an address")
    assert line.endswith(
        "'*.b.example' is no host name: letters, digits and hyphens between dots, or xn--… for other scripts."
    )


@pytest.mark.parametrize("wrong", ["b.example", "https://b.example/shop", "https://b.example:x", "ftp://b.example"])
def test_of_several_addresses_the_wrong_one_is_named(wrong):
    result = start("manage.py", "check", **GOOD, SITE_URL=f"https://a.example,{wrong}")
    assert result.stderr.strip().endswith(f"; {wrong!r} is none.")


@pytest.mark.parametrize(
    ("site", "sent"),
    [
        ("https://한국.test", "https://xn--3e0b707e.test"),
        # As a Mac may write it.
        (normalize("NFD", "https://한국.test"), "https://xn--3e0b707e.test"),
        ("https://BÜCHER.example:8443", "https://xn--bcher-kva.example:8443"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://WWW.Example.com", "https://www.example.com"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("http://[2001:DB8:0::1]:8080", "http://[2001:db8::1]:8080"),
        # What docker-compose.yml makes of HTTP_PORT.
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://localhost:127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address_is_known_as_browsers_send_it(site, sent):
    assert environment.are_origins([site])
    assert environment.as_origin(site) == sent
    assert environment.as_origin(sent) == sent


def test_the_settings_have_every_address_as_browsers_send_it_and_every_name_once():
    show = "from django.conf import settings; print(settings.SITE_URLS, settings.ALLOWED_HOSTS)"
    typed = [
        "https://A.example",
        "https://한국.test",
        "https://xn--3e0b707e.test:444",
        "https://[::1]",
        "https://localhost",
    ]
    sent = ["https://a.example", "https://xn--3e0b707e.test", *typed[2:]]
    hosts = ["a.example", "xn--3e0b707e.test", "localhost", "127.0.0.1", "[::1]"]
    assert start("-c", show, **GOOD, SITE_URL=",".join(typed)).stdout.strip() == f"{sent} {hosts}"


def test_gunicorn_refuses_processes_that_cannot_reach_each_other():
    result = start("-m", "kit.serving", **GOOD, SERVER_MODE="asgi", WEB_CONCURRENCY="3")
    assert result.returncode == 1
    assert "ops.E001" in result.stderr
    assert "Traceback" not in result.stderr


def test_more_connections_than_postgresql_gives_are_refused():
    result = start("manage.py", "check", **GOOD, DATABASE_URL="postgres://u:p@localhost/d", WEB_CONCURRENCY="30")
    assert result.returncode == 1
    assert "ops.E002" in result.stderr


def test_a_budget_that_fits_passes():
    result = start("manage.py", "check", **GOOD, DATABASE_URL="postgres://u:p@localhost/d", WEB_CONCURRENCY="8")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("slot", "fits"), [({}, True), ({"SLOT": "blue"}, False)], ids=["alone", "in-the-stack"])
def test_in_the_stack_the_budget_is_for_two_versions_beside_each_other(slot, fits):
    address = "postgres://u:p@localhost/d"
    result = start(
        "manage.py", "check", **GOOD, DATABASE_URL=address, WEB_CONCURRENCY="12", WORKER_PROCESSES="0", **slot
    )
    assert (result.returncode == 0) == fits
    assert ("The workers of both slots may open 96 connections" in result.stderr) != fits


def test_the_budget_counts_every_replica_and_one_more_during_a_release():
    address = "postgres://u:p@localhost/d"
    budget = {**GOOD, "DATABASE_URL": address, "WEB_CONCURRENCY": "4", "WORKER_PROCESSES": "0", "SLOT": "blue"}
    assert start("manage.py", "check", **budget, WEB_REPLICAS="4").returncode == 0
    result = start("manage.py", "check", **budget, WEB_REPLICAS="5")
    assert result.returncode == 1
    assert "WEB_REPLICAS=5 and of one more during a release may open 96 connections" in result.stderr


@pytest.mark.parametrize(
    ("site", "refused"),
    [("https://www.example.com", True), ("http://localhost:8080", False)],
    ids=["public", "loopback"],
)
def test_debug_on_a_public_address_is_refused(site, refused):
    result = start(
        "manage.py", "check", "--deploy", "--fail-level", "ERROR", **GOOD, SITE_URL=site, DEBUG="1"
    )  # fmt: skip
    assert (result.returncode != 0) == refused
    assert ("ops.E003" in result.stderr) == refused


@pytest.mark.parametrize("mode", ["wsgi", "asgi", "hybrid"])
def test_the_deployment_check_is_silent_for_a_proper_address(mode):
    result = start(
        "manage.py", "check", "--deploy", "--fail-level", "WARNING",
        SECRET_KEY=secrets.token_urlsafe(64), SITE_URL="https://www.example.com", SERVER_MODE=mode,
        REDIS_URL="redis://localhost:6379/0", CACHE_URL="redis://localhost:6379/1", EMAIL_URL="smtp://localhost",
        FORWARDED_ALLOW_IPS="127.0.0.1",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_a_public_address_without_encryption_is_called_out():
    result = start("manage.py", "check", "--deploy", **GOOD, SITE_URL="http://www.example.com")
    assert "ops.W001" in result.stderr
