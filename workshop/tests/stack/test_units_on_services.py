"""The applications' own tests once more, on PostgreSQL and Redis instead of the embedded default."""

import os
import secrets
import subprocess
import sys
import time

import pytest

from workshop.tests.servers import ROOT, free_port

# They start servers of their own, on SQLite: `make test` has run them.
IGNORED = [
    f"--ignore=apps/{path}"
    for path in (
        "lab",
        "live/tests/test_transports.py",
        "ops/tests/test_proof.py",
        "ops/tests/test_visits.py",
    )
]


@pytest.fixture
def services():
    """DATABASE_URL and REDIS_URL of two throw-away containers."""
    password, ports = secrets.token_hex(16), {"postgres:18": (5432, free_port()), "redis:8": (6379, free_port())}
    names = []
    for image, (inside, outside) in ports.items():
        names.append(f"wisheasy-units-{secrets.token_hex(4)}")
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


def test_the_applications_pass_their_tests_on_postgresql_and_redis(services, figures):
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "apps", "workshop/tests/handler", *IGNORED],
        cwd=ROOT, env={**os.environ, **services}, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-6000:]
    figures.append(f"on PostgreSQL and Redis: {result.stdout.strip().splitlines()[-1]}")
