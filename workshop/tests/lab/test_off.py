"""Without LAB=1 there is no lab, and with it on a public address somebody says so."""

import os
import subprocess
import sys

import httpx
import pytest

from workshop.tests.servers import ROOT


@pytest.mark.parametrize("path", ["/lab/", "/lab/plain/sync", "/lab/cpu/async", "/live/lab/changes"])
def test_without_the_variable_the_lab_is_not_there(server, path):
    assert httpx.get(f"{server.url}{path}").status_code == 404


def run(tmp_path, *command, **variables):
    environment = {
        **{name: os.environ[name] for name in ("PATH", "SECRET_KEY")},
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        **variables,
    }
    result = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return result.stdout + result.stderr


LOADED = (
    "import sys, wisheasy.wsgi, wisheasy.asgi, django.urls; django.urls.get_resolver().url_patterns;"
    "print([name for name in sys.modules if name.startswith('workshop.lab')] == [])"
)


@pytest.mark.parametrize(("lab", "nothing"), [("0", "True"), ("", "True"), ("1", "False")])
def test_without_the_variable_none_of_its_code_is_loaded(tmp_path, lab, nothing):
    assert run(tmp_path, "-c", LOADED, LAB=lab, SERVER_MODE="asgi").strip() == nothing


@pytest.mark.parametrize(
    ("lab", "address", "warned"),
    [
        ("1", "https://www.example.com", True),
        ("1", "http://10.1.2.3:8080", True),
        ("1", "http://localhost:8080", False),
        ("0", "https://www.example.com", False),
    ],
)
def test_a_lab_on_a_public_address_is_warned_of(tmp_path, lab, address, warned):
    said = run(tmp_path, "manage.py", "check", "--deploy", LAB=lab, SITE_URL=address)
    assert ("lab.W001" in said) == warned
    assert "System check identified" in said


def test_its_migrations_are_up_to_date(tmp_path):
    assert "No changes detected" in run(tmp_path, "manage.py", "makemigrations", "--check", "--dry-run", LAB="1")


def test_a_wrong_value_is_one_sentence(tmp_path):
    assert run(tmp_path, "manage.py", "check", LAB="perhaps").strip() == "LAB='perhaps' is wrong: expected 1 or 0."
