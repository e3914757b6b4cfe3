"""Does the real Nginx start with every address that SITE_URL can have? The image's configuration is made here."""

import os
import subprocess
import sys

import pytest
import yaml

from workshop.tests.servers import ROOT

NGINX = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["nginx"]["image"]
LONGEST = ".".join(["a" * 63] * 3 + ["b" * 61])
NAMES = {
    "short": ["a.example"],
    "longer-than-usual": ["a-name-that-is-quite-long.of-a-team.of-a-company.example"],
    "longest": [LONGEST],
    "many": [f"{number:03}{LONGEST[3:]}" for number in range(100)],
    "other-scripts": ["www.example.com", f"{'한' * 15}.한국"],
    "twice": ["a.example:8443", "a.example:9443", "localhost", "127.0.0.1"],
}


def accepted(folder, site):
    """What Nginx says against its configuration for this SITE_URL; None where it starts."""
    variables = {
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}", "NGINX_FOLDER": str(folder), "SLOT": "blue",
        "SETTINGS_STAND_INS": "1", "DJANGO_SETTINGS_MODULE": "workshop.probe.settings", "SERVER_MODE": "hybrid",
        "SITE_URL": site,
    }  # fmt: skip
    (ROOT / "var/static").mkdir(parents=True, exist_ok=True)
    subprocess.run([ROOT / "docker/nginx_files", "publish"], env=variables, check=True)
    (folder / "blue").rename(folder / "nginx")
    archive = subprocess.run(["tar", "-C", folder, "-c", "nginx"], capture_output=True, check=True).stdout
    command = [
        "docker", "run", "--rm", "--interactive", "--network", "none", "--user", "101:101", "--read-only",
        "--tmpfs", "/tmp", "--volume", f"{ROOT}/docker/serve_nginx:/serve_nginx:ro",
        "--entrypoint", "/serve_nginx", NGINX, "test",
    ]  # fmt: skip
    result = subprocess.run(command, input=archive, capture_output=True, timeout=120, check=False)
    return result.stderr.decode() if result.returncode else None


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_nginx_starts_with_names_of_any_length(tmp_path, scheme, names):
    assert accepted(tmp_path, ",".join(f"{scheme}://{name}" for name in names)) is None
