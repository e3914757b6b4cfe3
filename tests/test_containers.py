"""The image's content and the containers' permissions, as their files define them."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|PRIVATE|API_KEY", re.IGNORECASE)


class Loader(yaml.SafeLoader):
    """Ignores Compose's own tags, such as !reset."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


SERVICES = {
    f"{path.name}: {name}": service or {}
    for path in sorted(ROOT.glob("docker-compose*.y*ml"))
    for name, service in (yaml.load(path.read_text(), Loader).get("services") or {}).items()
}


def variables_of(service):
    """The variables as a dictionary, in whichever of Compose's two formats they are written."""
    variables = service.get("environment") or {}
    return variables if isinstance(variables, dict) else dict(f"{each}=".split("=")[:2] for each in variables)


def test_no_service_has_power_over_the_machine():
    for name, service in SERVICES.items():
        assert not service.get("privileged"), name
        assert not service.get("devices"), name
        for namespace in ("network_mode", "pid", "ipc", "userns_mode"):
            assert service.get(namespace) != "host", name
        mounts = map(str, service.get("volumes") or [])
        assert not [mount for mount in mounts if "docker.sock" in mount or mount.startswith(("/:", "/etc:"))], name


def test_no_secret_is_in_a_variable_of_a_service():
    for name, service in SERVICES.items():
        variables = variables_of(service).items()
        held = [key for key, value in variables if SECRET.search(key) and value and not key.endswith("_FILE")]
        assert held == [], name


def test_each_service_that_runs_the_project_is_closed():
    project = {
        name: service
        for name, service in SERVICES.items()
        if "COMPOSE_PROJECT_NAME" in service.get("image", "") and name.startswith("docker-compose.yml")
    }
    assert project
    for name, service in project.items():
        assert service.get("read_only") is True, name
        assert service.get("cap_drop") == ["ALL"], name
        assert "no-new-privileges:true" in service.get("security_opt", []), name
        assert str(service.get("user", "")).partition(":")[0] not in ("", "0", "root"), name


def test_the_image_runs_as_a_user_without_privileges():
    users = re.findall(r"^USER (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert users
    assert users[-1].partition(":")[0] not in ("0", "root")


def test_the_image_has_nothing_that_is_not_named():
    lines = [line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    assert lines[0] in ("*", "**")
    named = {line.removeprefix("!").strip("/").split("/")[0] for line in lines if line.startswith("!")}
    assert not named & {".env", ".git", ".venv", "secrets", "var", "*", "**", "."}


def test_git_takes_no_secret_and_no_data():
    paths = [".env", "secrets/secret_key", "secrets/app/a_key", "var/secret_key", "var/db.sqlite3"]
    command = ["git", "check-ignore", "--no-index", *paths]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode == 128:
        pytest.skip("This is no Git repository.")
    assert result.stdout.split() == paths
