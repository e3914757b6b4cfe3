"""One table of addresses, read by Django, by the scripts of the host, and by docker/backup for libpq."""

import os
import shutil
import subprocess

import pytest
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg.conninfo import conninfo_to_dict

from kit.environment import Environment, is_database
from kit.serving import modes
from workshop.tests.servers import ROOT

PLAIN = {"user": "app", "password": "pw", "host": "db", "port": "5432", "dbname": "shop"}
ADDRESSES = {
    "postgres://app:pw@db:5432/shop": PLAIN,
    "postgresql://app:pw@db:5432/shop": PLAIN,
    "pgsql://app:pw@db:5432/shop": PLAIN,
    "postgis://app:pw@db:5432/shop": PLAIN,
    "PostgreSQL://app:pw@db:5432/shop": PLAIN,
    "  postgres://app:pw@db:5432/shop \r": PLAIN,
    "postgres://app:pw@db:5432/shop#main": PLAIN,
    "postgres://app:pw@db/shop": {**PLAIN, "port": None},
    "postgres://app@db:5432/shop": {**PLAIN, "password": None},
    "postgres://db/shop": {"host": "db", "dbname": "shop"},
    "postgres:///shop": {"dbname": "shop"},
    "postgres://app:p%40s%3As%2F%23%25%3F%5C%20@db:5432/shop": {**PLAIN, "password": "p@s:s/#%?\\ "},
    "postgres://app:50%@db:5432/shop": {**PLAIN, "password": "50%"},
    "postgres://app:%x4%4@db:5432/shop": {**PLAIN, "password": "%x4%4"},
    "postgres://app:p%C3%A4ss@db:5432/shop": {**PLAIN, "password": "päss"},
    "postgres://app:p@ss:w\\ord@db:5432/shop": {**PLAIN, "password": "p@ss:w\\ord"},
    "postgres://us%40er:pw@db:5432/shop": {**PLAIN, "user": "us@er"},
    "postgres://app:pw@db:5432/my%20shop%2Fä": {**PLAIN, "dbname": "my shop/ä"},
    "postgres://app:pw@[::1]:5432/shop": {**PLAIN, "host": "::1"},
    "postgres://app:pw@[2001:db8::7]/shop": {**PLAIN, "host": "2001:db8::7", "port": None},
    "postgres://app:pw@%2Fvar%2Frun%2Fpostgresql/shop": {**PLAIN, "host": "/var/run/postgresql", "port": None},
    "postgres://app:pw@%2Fvar%2FRun/shop": {**PLAIN, "host": "/var/Run", "port": None},
    "postgres://app:pw@/shop?host=/var/run/postgresql": {**PLAIN, "host": "/var/run/postgresql", "port": None},
    "postgres://app:pw@db:5432/shop?sslmode=verify-full&sslrootcert=/ca.pem": {
        **PLAIN, "sslmode": "verify-full", "sslrootcert": "/ca.pem",
    },
    "postgres://app:pw@db:5432/shop?connect_timeout=9": {**PLAIN, "connect_timeout": "9"},
    "postgres://app:pw@db:5432/shop?options=-c+search_path%3Da": {**PLAIN, "options": "-c search_path=a"},
    "postgres://app:pw@db:5432/shop?currentSchema=a": {**PLAIN, "options": "-c search_path=a"},
    "postgres://app:pw@db:5432/shop?pool=true&assume_role=a&sslmode=require&isolation_level=4": {
        **PLAIN, "sslmode": "require",
    },
}  # fmt: skip
REFUSED = ["mysql://app:pw@db/shop", "postgres://app:pw@db:5432", "postgres://app:pw@db:5432/", "db:5432/shop", "shop"]
each = pytest.mark.parametrize(("address", "expected"), ADDRESSES.items(), ids=ADDRESSES)


@pytest.fixture
def folder(tmp_path):
    """With programs in the place of PostgreSQL's: what was psql called with?"""
    psql = tmp_path / "psql"
    psql.write_text('#!/bin/sh\nprintf "%s\\0%s\\0" "$2" "${PGPASSWORD-}"\n')
    psql.chmod(0o755)
    return tmp_path


def console(folder, address):
    (folder / "address").write_text(address + "\n")
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}", "BACKUP_FOLDER": str(folder),
        "DATABASE_URL_FILE": str(folder / "address"),
    }  # fmt: skip
    command = [ROOT / "docker/backup", "console"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def by_django(address, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", address.strip())
    return Environment().read("database", "DATABASE_URL", "an address", validate=is_database, secret=True)


@each
def test_django_reads_it(monkeypatch, address, expected):
    settings = modes.WSGI.database(by_django(address, monkeypatch), stock=False)
    parameters = DatabaseWrapper({"TIME_ZONE": None, **settings}).get_connection_params()
    read = {name: str(value) for name, value in parameters.items() if name in {*PLAIN, *expected}}
    assert read == {name: value for name, value in expected.items() if value is not None}
    assert parameters["connect_timeout"] == int(expected.get("connect_timeout", 5))


@each
def test_libpq_reads_the_same_of_a_backup(folder, address, expected):
    result = console(folder, address)
    assert result.returncode == 0, result.stderr
    given, password, _ = result.stdout.split("\0")
    assert "password" not in conninfo_to_dict(given)
    read = {**conninfo_to_dict(given), **({"password": password} if password else {})}
    # As libpq takes it, with a blank and without.
    if "options" in read:
        read["options"] = read["options"].replace("-csearch", "-c search")
    assert read == {name: value for name, value in expected.items() if value is not None}


@pytest.fixture(params=["bash", "dash", "busybox"])
def shell(request, folder):
    """The words that call a script by this shell, with the awk that goes with it."""
    path = shutil.which(request.param)
    if not path and not os.environ.get("CI"):
        pytest.skip(f"There is no {request.param} here.")
    assert path, f"there is no {request.param} here"
    if request.param == "busybox":
        (folder / "awk").symlink_to(path)
        return [path, "sh"]
    return [path]


def test_the_scripts_of_the_host_read_the_same(folder, shell):
    def part(name):
        command = [*shell, ROOT / "docker/address", name, folder / "address"]
        environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout[:-1]

    for address, expected in ADDRESSES.items():
        (folder / "address").write_text(address + "\n")
        host = None if "?host" in address else expected.get("host")
        read = {name: part(name) for name in ("host", "password", "name")}
        # For the names of services it does not matter how they are written.
        assert read == {
            "host": (host or "").lower(), "password": expected.get("password") or "", "name": expected["dbname"],
        }, address  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_no_address_of_a_database_of_postgresql_is_refused_in_a_sentence(folder, address):
    result = console(folder, address)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "no address of a PostgreSQL database" in result.stderr


def test_no_password_is_in_what_a_program_is_called_with(folder):
    assert "pw" not in console(folder, next(iter(ADDRESSES))).stdout.split("\0")[0]
