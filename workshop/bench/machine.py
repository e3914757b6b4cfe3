"""What the figures were measured on."""

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import distributions
from pathlib import Path

from kit.serving import cgroup

from . import install, services

PACKAGES = (
    *(
        "Django",
        "gunicorn",
        "uvicorn",
        "uvicorn-worker",
        "uvloop",
        "httptools",
        "channels",
        "channels-redis",
        "asgiref",
    ),
    *("psycopg", "redis", "websockets", "daphne", "hypercorn", "granian", "uWSGI"),
)


def machine(services_versions: dict[str, str]) -> dict[str, str]:
    """Facts by their names, in the order in which they are shown."""
    return {
        "CPU": f"{_cpu_model()}, {cgroup.cpus():g} of {os.cpu_count()} cores",
        "Memory": f"{cgroup.memory() / 2**30:.1f} GB",
        "System": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        **services_versions,
        "Nginx": _version(services.find_nginx(), "-v"),
        "wrk": _version(shutil.which("wrk"), "-v"),
        **_packages(),
    }


def _packages() -> dict[str, str]:
    found = {}
    own = [str(path) for path in Path(install.FOLDER).glob("lib/python*/site-packages")]
    # The product's own environment comes last: what both have is named as the product has it.
    for distribution in [*distributions(path=own), *distributions()]:
        found[distribution.name.lower().replace("_", "-")] = distribution.version
    return {name: found[name.lower()] for name in PACKAGES if name.lower() in found}


def _cpu_model() -> str:
    try:
        return re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


def _version(program: str | None, option: str) -> str:
    if program is None:
        return "none"
    done = subprocess.run([program, option], capture_output=True, text=True, check=False)
    numbers = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return numbers[0] if numbers else "unknown"
