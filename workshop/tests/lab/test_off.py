"""The project knows nothing of the lab, and where the lab is served on a public address a check says so."""

import os
import subprocess
import sys

import httpx
import pytest

from workshop.tests.servers import ROOT

LAB = "workshop.lab.settings"


@pytest.mark.parametrize("path", ["/lab/", "/lab/plain/sync", "/lab/cpu/async", "/live/lab/changes"])
def test_the_project_has_no_lab(server, path):
    assert httpx.get(f"{server.url}{path}").status_code == 404


def run(tmp_path, *command, module=LAB, **variables):
    environment = {
        **{name: os.environ[name] for name in ("PATH", "SECRET_KEY")},
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        "DJANGO_SETTINGS_MODULE": module,
        **variables,
    }
    result = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return result.stdout + result.stderr


LOADED = (
    "import sys, wisheasy.wsgi, wisheasy.asgi, django.urls; django.urls.get_resolver().url_patterns;"
    "print([name for name in sys.modules if name.startswith('workshop')] == [])"
)


@pytest.mark.parametrize(("module", "nothing"), [("wisheasy.settings", "True"), (LAB, "False")])
def test_the_project_loads_nothing_of_the_workshop(tmp_path, module, nothing):
    assert run(tmp_path, "-c", LOADED, module=module, SERVER_MODE="asgi").strip() == nothing


@pytest.mark.parametrize(
    ("module", "address", "warned"),
    [
        (LAB, "https://www.example.com", True),
        (LAB, "http://10.1.2.3:8080", True),
        (LAB, "http://localhost:8080", False),
        ("wisheasy.settings", "https://www.example.com", False),
    ],
)
def test_a_lab_on_a_public_address_is_warned_of(tmp_path, module, address, warned):
    said = run(tmp_path, "manage.py", "check", "--deploy", module=module, SITE_URL=address)
    assert ("lab.W001" in said) == warned
    assert "System check identified" in said


@pytest.mark.parametrize("module", [LAB, "workshop.probe.settings"])
def test_the_migrations_of_lab_and_probe_are_up_to_date(tmp_path, module):
    said = run(tmp_path, "manage.py", "makemigrations", "--check", "--dry-run", module=module)
    assert "No changes detected" in said
