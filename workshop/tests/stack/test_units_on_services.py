"""What asks for more than SQLite and one process have, tested once more on PostgreSQL and Redis: the order of commits,
locks, hints between processes, connections of threads, and the queries of the applications."""

import os
import secrets
import subprocess
import sys
import time

import pytest

from workshop.tests.servers import ROOT, free_port

TESTS = [
    "apps",
    "workshop/tests/live",
    # They start servers of their own, on SQLite.
    *(f"--ignore=workshop/tests/live/test_{name}.py" for name in ("audience", "browser", "consumers", "transports")),
    *(f"workshop/tests/ops/test_{name}.py" for name in ("check_migrations", "migrate_once", "services")),
    "workshop/tests/handler/test_threads.py",
]


@pytest.fixture
def services():
    """DATABASE_URL and REDIS_URL of two throw-away containers."""
    password, ports = secrets.token_hex(16), {"postgres:18": (5432, free_port()), "redis:8": (6379, free_port())}
    names = []
    for image, (inside, outside) in ports.items():
        names.append(f"wisheasy-e2e-units-{secrets.token_hex(4)}")
        subprocess.run(
            ["docker", "run", "--detach", "--rm", "--name", names[-1], "--env", f"POSTGRES_PASSWORD={password}",
             "--publish", f"127.0.0.1:{outside}:{inside}", image],
            check=True, capture_output=True,
        )  # fmt: skip
    try:
        for _ in range(120):
            ready = ["docker", "exec", names[0], "pg_isready", "--host", "127.0.0.1"]
            if subprocess.run(ready, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.5)
        yield {
            "DATABASE_URL": f"postgres://postgres:{password}@127.0.0.1:{ports['postgres:18'][1]}/postgres",
            "REDIS_URL": f"redis://127.0.0.1:{ports['redis:8'][1]}/0",
        }
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", *names], check=False, capture_output=True)


def test_what_needs_them_passes_on_postgresql_and_redis(services, figures):
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *TESTS],
        cwd=ROOT, env={**os.environ, **services}, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-6000:]
    # Nothing is left out that waited for them.
    assert not [line for line in result.stdout.splitlines() if "SQLite" in line or "REDIS_URL" in line]
    figures.append(f"on PostgreSQL and Redis: {result.stdout.strip().splitlines()[-1]}")
