"""Backups on a real engine, with PostgreSQL and the service `backup` alone: what was dropped comes back, and nothing
that goes wrong leaves half of a backup, or takes the database with it."""

import re
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest

from .conftest import BASE, Machine, eventually

FOLDER = "/var/lib/postgresql"
ROWS = 1000


class Backups(Machine):
    project = "wisheasy-e2e-backups"

    def compose(self, *command, **options):
        return self.run("docker", "compose", "--progress", "quiet", *command, **options)

    def sql(self, statement: str, database: str = "wisheasy") -> str:
        options = ["--no-align", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1", "--username", "wisheasy"]
        return self.compose(
            "exec", "-T", "postgres", "psql", *options, "--dbname", database, "--command", statement
        ).stdout.strip()

    def shell(self, script: str, check: bool = True, **variables: str):
        """A script in the container of the service."""
        return self.compose("exec", "-T", *given(variables), "backup", "bash", "-c", script, check=check)

    def once(self, script: str, check: bool = True, compose: dict | None = None, **variables: str):
        """A script in a container of its own."""
        return self.compose(
            "run", "--rm", "--no-deps", "-T", *given(variables), "--entrypoint", "bash", "backup", "-c", script,
            check=check, **(compose or {}),
        )  # fmt: skip

    def backup(self) -> str:
        return self.run("make", "backup").stdout.split()[0]

    def restore(self, file, check: bool = True, **variables: str):
        return self.run("make", "restore", f"FILE={file}", check=check, **{"CONFIRM": "wisheasy", **variables})

    def files(self) -> list[str]:
        return self.shell(f"ls -A {FOLDER} | sed -n /dump/p").stdout.split()

    def databases(self) -> set[str]:
        return set(self.sql("SELECT datname FROM pg_database WHERE NOT datistemplate", "postgres").split())

    def fill(self, rows: int = ROWS, database: str = "wisheasy") -> None:
        self.sql(
            "DROP TABLE IF EXISTS sample; CREATE TABLE sample (id int PRIMARY KEY, text text);"
            f"INSERT INTO sample SELECT n, 'sample ' || n FROM generate_series(1, {rows}) n",
            database,
        )

    def rows(self, database: str = "wisheasy") -> int:
        return int(self.sql("SELECT count(*) FROM sample WHERE text = 'sample ' || id", database))


def given(variables):
    return [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]


def sentence(result):
    """The one sentence that a command that failed has said."""
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if line and not line.startswith("make: ***")]
    assert len(lines) == 1, result.stderr
    return lines[0]


# Where no database answers, as what DATABASE_URL_FILE names.
NOWHERE = "echo postgres://wisheasy:x@postgres:1/wisheasy >/tmp/nowhere; export DATABASE_URL_FILE=/tmp/nowhere;"


@pytest.fixture(scope="module")
def service(checkout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("backups") / "wisheasy"
    stack = Backups(checkout, folder)
    stack.run("docker/configure")
    try:
        stack.compose("up", "--detach", "--wait", "postgres", "backup")
        yield stack
    finally:
        stack.remove()


@pytest.fixture
def stack(service):
    service.fill()
    yield service
    for database in service.databases() - {"postgres", "wisheasy"}:
        service.sql(f'DROP DATABASE "{database}"', "postgres")


@pytest.fixture
def held_table(stack):
    """A table that somebody has locked: a backup begins, and waits. Call it to unlock the table."""
    hold = "BEGIN; LOCK TABLE sample; SELECT pg_sleep(600)"
    stack.compose("exec", "-T", "--detach", "postgres", "psql", "--username", "wisheasy", "--command", hold)
    holds = "FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%' AND wait_event = 'PgSleep'"
    eventually(lambda: stack.sql(f"SELECT count(*) {holds}") == "1")

    def release():
        stack.sql(f"SELECT pg_terminate_backend(pid) {holds}")

    yield release
    release()


@pytest.fixture
def begin_backup(stack):
    """Start a backup that is not waited for; its container."""
    containers = []

    def begin() -> str:
        containers.append(stack.compose("run", "--detach", "--no-deps", "backup", "now").stdout.split()[-1])
        eventually(lambda: any(name.endswith(".partial") for name in stack.files()))
        return containers[-1]

    yield begin
    for container in containers:
        stack.run("docker", "rm", "--force", "--volumes", container, check=False)


# --- Making and listing ---


def test_a_stack_that_starts_makes_a_backup_by_itself(service):
    assert eventually(lambda: [name for name in service.files() if re.fullmatch(r"wisheasy-\d{8}T\d{6}Z\.dump", name)])


def test_a_backup_is_listed_first_readable_by_its_owner_alone_and_complete(stack):
    made = stack.run("make", "backup").stdout
    name = re.fullmatch(r"(wisheasy-\d{8}T\d{6}Z\.dump) [\d.]+K\nIt holds the database\. .+\n", made)[1]
    first = stack.run("make", "backups").stdout.splitlines()[0]
    assert re.fullmatch(rf"{name} +[\d.]+K +0 min", first)
    assert stack.shell(f"stat --format '%a %U' {FOLDER}/{name}").stdout == "600 postgres\n"
    assert stack.shell(f"pg_restore --file - {FOLDER}/{name} | grep -c '\tsample [0-9]*$'").stdout == f"{ROWS}\n"


def test_where_there_are_no_backups_the_list_says_so(service):
    assert service.shell("mkdir -p /tmp/none && backup list", BACKUP_FOLDER="/tmp/none").stdout == (
        "There are no backups: make backup makes one.\n"
    )


def test_an_address_may_have_options_and_its_password_is_in_no_list_of_processes(service):
    password = (service.folder / "secrets/postgres_password").read_text().strip()
    encoded = f"%{ord(password[0]):02x}{password[1:]}"
    address = f"postgres://wisheasy:{encoded}@postgres:5432/wisheasy?application_name=a"
    # Programs that tell what they were called with.
    script = 'for name in psql pg_dump; do eval "$name() { echo $name \\$* >>/tmp/told; command $name \\"\\$@\\"; }";'
    made = service.shell(
        script + f" export -f $name; done; echo '{address}' >/tmp/address; backup now; cat /tmp/told; rm /tmp/told",
        DATABASE_URL_FILE="/tmp/address",
    )
    assert re.match(r"wisheasy-\d{8}T\d{6}Z\.dump ", made.stdout)
    assert re.search(
        r"\npg_dump .*--dbname postgresql://wisheasy@postgres:5432/wisheasy\?application_name=a\n", made.stdout
    )
    assert password[1:] not in made.stdout + made.stderr


# --- Restoring ---


def test_every_row_of_a_database_that_was_dropped_comes_back(stack):
    name = stack.backup()
    stack.compose("exec", "-T", "postgres", "dropdb", "--username", "wisheasy", "--force", "wisheasy")
    assert sentence(stack.run("make", "backup", check=False)) == (
        "There is no database wisheasy: restore one (make restore FILE=…)."
    )
    assert stack.restore(name).stdout.splitlines()[-1] == "wisheasy is restored."
    assert stack.rows() == ROWS
    assert stack.databases() == {"postgres", "wisheasy"}


def test_a_file_of_this_machine_is_restored_and_what_was_there_is_kept_until_it_is_removed(stack, tmp_path):
    stack.compose("cp", f"backup:{FOLDER}/{stack.backup()}", str(tmp_path / "a copy.dump"))
    stack.fill(ROWS + 1)
    said = stack.restore(tmp_path / "a copy.dump").stdout
    assert stack.rows() == ROWS
    kept, remove = re.search("Its previous content is in (.+); to remove that: (.+)", said).groups()
    assert stack.rows(kept) == ROWS + 1
    again = stack.compose("run", "--rm", "--no-deps", "-T", "backup", "now", kept).stdout.split()[0]
    assert re.fullmatch(rf"{kept}-\d{{8}}T\d{{6}}Z\.dump", again)
    stack.run("sh", "-c", remove)
    stack.restore(again)
    assert stack.rows() == ROWS + 1


def test_a_database_that_is_in_use_all_the_time_is_replaced(stack):
    name = stack.backup()
    stack.fill(1)
    visitors = (
        'visit() { while :; do psql --dbname "$(cat $DATABASE_URL_FILE)" '
        "--command \"SELECT 'a visit', pg_sleep($1)\"; done; };"
        "visit 0 & visit 0 & visit 0 & visit 60"
    )
    container = stack.compose(
        "run", "--detach", "--no-deps", "--entrypoint", "bash", "backup", "-c", visitors
    ).stdout.split()[-1]  # fmt: skip
    try:
        eventually(lambda: stack.run("docker", "logs", container).stdout.count("(1 row)") > 10)
        stack.restore(name)
        assert stack.rows() == ROWS
        eventually(lambda: stack.run("docker", "logs", "--tail", "2", container).stdout.count("(1 row)"))
    finally:
        stack.run("docker", "rm", "--force", "--volumes", container)


def test_a_backup_that_is_not_complete_is_refused_and_the_database_serves_on(stack, tmp_path):
    half = tmp_path / "half.dump"
    stack.compose("cp", f"backup:{FOLDER}/{stack.backup()}", str(half))
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    stack.fill(ROWS + 1)
    assert sentence(stack.restore(half, check=False)) == (
        "Nothing was restored, and the database is as it was: "
        "the backup is broken or not complete (could not read from input file: end of file)."
    )
    assert stack.rows() == ROWS + 1
    assert stack.databases() == {"postgres", "wisheasy"}


@pytest.fixture(scope="module")
def newest(service):
    """The path of a backup with rows."""
    service.fill()
    return f"{FOLDER}/{service.backup()}"


BROKEN = {
    "a-byte-short": "head --bytes -1 $FILE",
    "a-byte-changed": (
        r"head --bytes -400 $FILE; tail --bytes 400 $FILE | head --bytes 1 | tr '\000-\377' '\001-\377\000';"
        " tail --bytes 399 $FILE"
    ),
    "empty": ":",
    "no-backup": "yes | head --bytes 9999",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_backup_that_is_broken_is_refused(stack, newest, broken):
    assert stack.shell("pg_restore --list $FILE | grep 'TABLE DATA public sample'", FILE=newest).stdout
    said = sentence(stack.shell(f"({broken}) | backup restore -", check=False, FILE=newest))
    assert re.match("Nothing was restored, and the database is as it was: the backup is broken", said)
    assert stack.rows() == ROWS
    assert stack.databases() == {"postgres", "wisheasy"}


@pytest.mark.parametrize(
    ("file", "answer", "expected"),
    [
        pytest.param("", "wisheasy", "FILE is missing: make restore FILE=NAME", id="no-file"),
        pytest.param("/no/file", "wisheasy", "There is no file /no/file", id="no-such-file"),
        pytest.param("nothing.dump", "wisheasy", "There is no backup 'nothing.dump': make backups", id="no-such-name"),
        pytest.param("NEWEST", "", "Nothing was done: set CONFIRM=wisheasy to replace", id="no-answer"),
        pytest.param("NEWEST", "yes", "Nothing was done: 'yes' is not wisheasy", id="wrong-answer"),
    ],
)  # fmt: skip
def test_nothing_happens_without_a_backup_and_the_name_of_the_database(stack, file, answer, expected):
    newest = stack.files()[-1]
    stack.fill(ROWS + 1)
    said = sentence(stack.restore(file.replace("NEWEST", newest), check=False, CONFIRM=answer))
    assert said.startswith(expected)
    assert stack.rows() == ROWS + 1
    assert stack.databases() == {"postgres", "wisheasy"}


# --- What another server does not have ---


# Rights of a role that goes and of one that stays, of the kinds that a backup has.
RIGHTS = """
CREATE ROLE reporter; CREATE ROLE keeper;
GRANT SELECT ON sample TO reporter, keeper;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reporter;
ALTER TABLE sample ENABLE ROW LEVEL SECURITY;
CREATE POLICY reports ON sample TO reporter USING (true);
CREATE FUNCTION closed() RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE ALL ON FUNCTION closed() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION closed() TO reporter;
CREATE TABLE hers AS SELECT 1 AS id; ALTER TABLE hers OWNER TO keeper;
CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION postgres_fdw;
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
CREATE USER MAPPING FOR reporter SERVER far OPTIONS (password 'of the reporter');
CREATE FUNCTION changed() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watched ON ddl_command_end EXECUTE FUNCTION changed();
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE SUBSCRIPTION news CONNECTION 'password=of-the-reporter' PUBLICATION news
    WITH (connect = false, slot_name = NONE, enabled = false);
"""


@pytest.fixture
def with_rights(stack):
    """The name of a backup with them, on a server that has the role reporter no more."""
    stack.sql("CREATE DATABASE rights", "postgres")
    stack.fill(database="rights")
    stack.sql(RIGHTS, "rights")
    name = stack.compose("run", "--rm", "--no-deps", "-T", "backup", "now", "rights").stdout.split()[0]
    stack.sql("DROP SUBSCRIPTION news", "rights")
    stack.sql("DROP DATABASE rights", "postgres")
    stack.sql("DROP ROLE reporter")
    yield name
    stack.sql("DROP SUBSCRIPTION IF EXISTS news")
    for database in stack.databases() - {"postgres"}:
        stack.sql(f'DROP DATABASE "{database}" WITH (FORCE)', "postgres")
    stack.sql("DROP ROLE keeper", "postgres")
    stack.sql("CREATE DATABASE wisheasy", "postgres")


def test_the_data_come_back_without_the_rights_of_a_role_that_is_gone(stack, with_rights):
    stack.fill(1)
    said = stack.restore(with_rights).stdout
    assert stack.rows() == ROWS
    (refused,) = re.findall("^Not restored: (.+)$", said, re.MULTILINE)
    assert refused == 'CREATE USER MAPPING FOR reporter SERVER far, and 5 more: role "reporter" does not exist.'
    assert "\nObjects of keeper now belong to wisheasy.\n" in said
    # What else the same statement of pg_restore does is done.
    assert stack.sql("SELECT has_table_privilege('keeper', 'sample', 'SELECT')") == "t"
    assert stack.sql("SELECT has_function_privilege('keeper', 'closed()', 'EXECUTE')") == "f"
    assert stack.sql("SELECT count(*) FROM pg_event_trigger, pg_publication, pg_subscription") == "1"


@pytest.fixture
def plain_role(stack):
    """As DATABASE_URL_FILE, where an administrator of the server has given a role and a database."""
    stack.sql("CREATE ROLE plain LOGIN CREATEDB PASSWORD 'plain'", "postgres")
    stack.sql("CREATE DATABASE plain OWNER plain", "postgres")
    yield "echo postgres://plain:plain@postgres/plain >/tmp/plain; export DATABASE_URL_FILE=/tmp/plain;"
    for database in stack.databases() - {"postgres", "wisheasy"}:
        stack.sql(f'DROP DATABASE "{database}"', "postgres")
    stack.sql("DROP ROLE plain", "postgres")


def test_a_role_that_may_less_restores_what_it_can_and_what_the_data_need_is_said(stack, with_rights, plain_role):
    result = stack.shell(f"{plain_role} backup restore {with_rights}", check=False)
    *refused, failed = result.stderr.splitlines()
    assert failed == (
        'Nothing was restored, and the database is as it was: foreign-data wrapper "postgres_fdw" does not exist.'
    )
    assert any('permission denied to create extension "postgres_fdw"' in line for line in refused)
    stack.restore(with_rights)
    stack.sql("DROP EXTENSION postgres_fdw CASCADE")
    said = stack.shell(f"{plain_role} backup restore {stack.backup()}").stdout
    assert stack.rows("plain") == ROWS
    for refused in ("EXTENSION IF NOT EXISTS pg_stat_statements", "EVENT TRIGGER", "PUBLICATION", "SUBSCRIPTION news:"):
        assert f"Not restored: CREATE {refused}" in said
    assert "of-the-reporter" not in said
    assert "Objects of wisheasy now belong to plain." in said


def test_rights_and_settings_of_the_database_itself_stay_as_they_are(stack):
    stack.sql(
        "REVOKE CONNECT ON DATABASE wisheasy FROM PUBLIC; ALTER DATABASE wisheasy CONNECTION LIMIT 99;"
        "ALTER DATABASE wisheasy SET search_path TO public, pg_temp; ALTER DATABASE wisheasy SET my.own TO 'it''s a=b';"
        "ALTER ROLE wisheasy IN DATABASE wisheasy SET work_mem TO '9MB'"
    )
    about = (
        "SELECT array(SELECT a::text FROM unnest(datacl) a ORDER BY 1), datconnlimit,"
        " array(SELECT setconfig::text FROM pg_db_role_setting WHERE setdatabase = oid ORDER BY setrole)"
        " FROM pg_database WHERE datname = current_database()"
    )
    before = stack.sql(about)
    assert "99" in before
    said = stack.restore(stack.backup()).stdout
    assert "Not restored" not in said
    assert stack.sql(about) == before
    stack.sql("ALTER DATABASE wisheasy RESET ALL; ALTER DATABASE wisheasy CONNECTION LIMIT -1")
    stack.sql("ALTER ROLE wisheasy IN DATABASE wisheasy RESET ALL; GRANT CONNECT ON DATABASE wisheasy TO PUBLIC")


def test_what_explains_a_failure_is_the_error_and_not_a_warning_before_it(service):
    # As every program says it once the system's library has new rules of sorting.
    warning = 'WARNING:  database "wisheasy" has a collation version mismatch\nDETAIL:  It was made with 1.'
    script = "pg_dump() { printf '%b\\n' \"$WARNING\" 'pg_dump: hint: none' 'pg_dump: error: no memory' >&2; false; };"
    result = service.shell(f"{script} export -f pg_dump; backup now", check=False, WARNING=warning)
    assert sentence(result) == "No backup was made: no memory"


# --- What goes wrong ---


@pytest.fixture
def disk_of(service):
    """The service with a disk of so many megabytes for backups, as the variables of Compose."""

    def disk_of(megabytes):
        (service.folder / "small.yml").write_text(f"""
services: {{backup: {{volumes: ["small:{FOLDER}"]}}}}
volumes:
  small: {{driver_opts: {{type: tmpfs, device: tmpfs, o: "size={megabytes}m,uid=999,gid=999"}}}}
""")
        return {"COMPOSE_FILE": "docker-compose.yml:small.yml"}

    yield disk_of
    service.run("docker", "volume", "rm", f"{service.project}_small")


def test_without_the_space_for_it_no_backup_is_begun(service, disk_of):
    result = service.once(f"backup now; echo $?; ls -A {FOLDER} | sed -n /dump/p", compose=disk_of(1))
    assert result.stdout == "1\n"
    assert re.fullmatch(
        r"No backup was made: 1\.0M are free where backups lie, and this one may need [\d.]+M: "
        r"free some, or keep fewer \(.+\)\.\n",
        result.stderr,
    )


def test_a_disk_that_is_full_before_the_end_keeps_no_half_of_a_backup(service, disk_of):
    # 16 MB that can't be compressed: half the size of the database is less than its backup.
    service.sql(
        "CREATE TABLE noise AS SELECT decode(string_agg(md5(random()::text || n), ''), 'hex')"
        " FROM generate_series(1, 1048576) n GROUP BY n % 1000"
    )
    try:
        result = service.once(f"backup now; echo $?; ls -A {FOLDER} | sed -n /dump/p", compose=disk_of(16))
    finally:
        service.sql("DROP TABLE noise")
    assert result.stdout == "1\n"
    assert re.fullmatch(r"No backup was made: the disk where backups lie is full: free some, .+\.\n", result.stderr)


def test_a_backup_that_is_not_what_was_written_is_not_kept(service):
    before = service.files()
    result = service.shell(
        'pg_dump() { command pg_dump "$@"; truncate --size -1 $BACKUP_FOLDER/.*.partial; }; export -f pg_dump;'
        " backup now",
        check=False,
    )
    assert sentence(result) == "No backup was made: could not read from input file: end of file"
    assert service.files() == before


def test_without_the_database_a_backup_says_what_to_do(service):
    assert sentence(service.shell(f"{NOWHERE} backup now", check=False)) == (
        "The database does not answer: start it (docker compose up --detach --wait postgres)."
    )
    elsewhere = NOWHERE.replace("postgres:1", "127.0.0.1:1")
    assert sentence(service.shell(f"{elsewhere} backup now", check=False)) == (
        'The database does not answer: connection to server at "127.0.0.1", port 1 failed: Connection refused'
    )


def test_a_backup_that_is_stopped_ends_at_once_and_leaves_nothing(stack, held_table, begin_backup):
    before = stack.files()
    container = begin_backup()
    begin = time.monotonic()
    stack.run("docker", "stop", "--timeout", "10", container)
    assert time.monotonic() - begin < 5
    assert stack.files() == before


def test_what_is_left_of_a_backup_that_was_killed_goes_with_the_next(stack, held_table, begin_backup):
    stack.run("docker", "kill", begin_backup())
    assert [name for name in stack.files() if name.endswith(".partial")]
    held_table()
    stack.backup()
    assert not [name for name in stack.files() if name.endswith(".partial")]


def test_of_two_backups_at_once_the_second_waits_and_both_are_made(stack, held_table, begin_backup):
    before = stack.files()
    first, second = begin_backup(), begin_backup()
    waiting = "Another backup or restore is running: waiting for it.\n"
    eventually(lambda: stack.run("docker", "logs", second).stderr == waiting)
    held_table()
    for container in (first, second):
        assert stack.run("docker", "wait", container).stdout == "0\n"
    assert len(set(stack.files()) - set(before)) == 2


# --- As the manual says it ---


def test_a_restore_is_tried_beside_the_stack_as_the_manual_says(stack, tmp_path):
    manual = (stack.folder / "docs/operations.md").read_text()
    block = re.search(r"^### Trying a restore\n.*?```sh\n(.*?)```", manual, re.MULTILINE | re.DOTALL)[1]
    stack.sql("CREATE TABLE accounts_user (id int); INSERT INTO accounts_user VALUES (42)")
    folder = tmp_path / "project"
    shutil.copytree(stack.folder, folder)
    script = f"""
        docker/configure COMPOSE_PROJECT_NAME={stack.project}
        git init --quiet && git add . && git -c user.name=x -c user.email=x@localhost commit --quiet --message x
        {re.sub(r"\bNAME\b", stack.backup(), block)}
    """
    # None of the variables that the tests set: each of the two folders has the name of its stack in its .env.
    result = subprocess.run(
        ["bash", "-euxc", script],
        cwd=folder, env={**BASE, "CONFIRM": "wisheasy"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^ *1 \| +42$", result.stdout, re.MULTILINE)
    # The stack beside it has noticed nothing.
    assert stack.rows() == ROWS


def test_down_keeps_the_data(stack):
    stack.run("make", "down")
    assert stack.services() == []
    stack.compose("up", "--detach", "--wait", "postgres", "backup")
    assert stack.rows() == ROWS


# --- The schedule ---


def test_the_schedule_ends_at_once_when_it_is_stopped(service):
    begin = time.monotonic()
    service.compose("stop", "backup")
    assert time.monotonic() - begin < 5
    service.compose("up", "--detach", "--wait", "--no-deps", "backup")


# Sleeps are short, and say how long they were to be.
SCHEDULE = """
sleep() { echo "sleep $1"; command sleep 0.1; }
export -f sleep
timeout 3 backup schedule
"""


def test_a_backup_that_fails_is_logged_and_tried_again_after_minutes(service):
    result = service.shell(NOWHERE + SCHEDULE, check=False, BACKUP_FOLDER="/tmp")
    assert set(result.stdout.splitlines()) == {"sleep 300"}
    assert result.stdout.count("\n") > 1
    assert result.stderr.count("The database does not answer: start it") > 1


def test_the_next_backup_is_made_an_hour_after_the_last(service):
    service.backup()
    sleeps = [int(line.removeprefix("sleep ")) for line in service.shell(SCHEDULE, check=False).stdout.splitlines()]
    assert sleeps
    assert all(3580 < seconds <= 3600 for seconds in sleeps)


NONE = {"BACKUP_HOURLY": "0", "BACKUP_DAILY": "0", "BACKUP_WEEKLY": "0"}


def test_there_can_be_no_scheduled_backups(service):
    result = service.shell(SCHEDULE, check=False, BACKUP_FOLDER="/tmp", **NONE)
    assert result.stdout.splitlines()[:2] == [
        "No scheduled backups: BACKUP_HOURLY, BACKUP_DAILY and BACKUP_WEEKLY are 0.",
        "sleep 86400",
    ]


@pytest.fixture
def sessions(stack):
    """Django's table of sessions: more than are removed at once have expired, one of them is in use, and one lasts."""
    stack.sql(
        "CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text, expire_date timestamptz);"
        "INSERT INTO django_session SELECT 'ended' || n, '', now() - interval '1 s' FROM generate_series(1, 20001) n;"
        "INSERT INTO django_session VALUES ('lasts', '', now() + interval '1 h')"
    )
    yield
    stack.sql("DROP TABLE IF EXISTS django_session")


def keys(stack):
    return stack.sql("SELECT session_key FROM django_session ORDER BY 1").split()


@pytest.mark.parametrize("numbers", [{}, NONE], ids=["with-backups", "without-backups"])
def test_expired_sessions_are_removed_on_schedule_before_the_backup(stack, sessions, numbers):
    folder = "mkdir -p /tmp/none; rm -f /tmp/none/*;"
    said = stack.shell(folder + SCHEDULE, check=False, BACKUP_FOLDER="/tmp/none", **numbers)
    assert "Expired sessions removed: 20001.\n" in said.stdout
    assert said.stderr == ""
    assert keys(stack) == ["lasts"]
    if not numbers:
        script = "for file in /tmp/none/*.dump; do pg_restore --file - $file; done | grep -cE '^(lasts|ended[0-9]+)\t'"
        assert stack.shell(script).stdout == "1\n"


def test_a_session_that_a_server_holds_and_a_table_that_is_locked_keep_nobody_waiting(stack, sessions):
    def hold(statement):
        stack.compose(
            "exec", "-T", "--detach", "postgres", "psql", "--username", "wisheasy", "--command",
            f"BEGIN; {statement}; SELECT pg_sleep(600)",
        )  # fmt: skip
        holds = "FROM pg_stat_activity WHERE query LIKE 'BEGIN;%' AND wait_event = 'PgSleep'"
        eventually(lambda: stack.sql(f"SELECT count(*) {holds}") == "1")
        return lambda: stack.sql(f"SELECT pg_terminate_backend(pid) {holds}")

    release = hold("UPDATE django_session SET session_data = 'x' WHERE session_key = 'ended7'")
    assert stack.shell("backup sessions").stdout == "Expired sessions removed: 20000.\n"
    release()
    assert keys(stack) == ["ended7", "lasts"]
    release = hold("LOCK TABLE django_session")
    assert sentence(stack.shell("backup sessions", check=False)) == (
        "Expired sessions were not removed: canceling statement due to lock timeout"
    )
    release()
    assert stack.shell("backup sessions").stdout == "Expired sessions removed: 1.\n"


def test_without_a_table_of_sessions_nothing_is_said(stack):
    result = stack.shell("backup sessions")
    assert (result.stdout, result.stderr) == ("", "")


def test_a_wrong_number_of_backups_is_refused(service):
    said = sentence(service.shell("backup schedule", check=False, BACKUP_DAILY="a week"))
    assert said == "BACKUP_DAILY='a week' is wrong: expected how many backups to keep, such as 7."


# A folder of its own, with empty files of these names.
FILES = "export BACKUP_FOLDER=$(mktemp -d); (cd $BACKUP_FOLDER && xargs -r touch <<<'{names}'); "


def named(time: datetime) -> str:
    return f"wisheasy-{time:%Y%m%dT%H%M%SZ}.dump"


def test_kept_are_the_newest_and_the_newest_of_days_and_weeks(service):
    now = datetime(2026, 3, 20, 14, 30, tzinfo=UTC)
    # None in the last three days, and none for a while before that: days and weeks are those that have a backup.
    hours = [*range(72, 480, 5), *range(900, 2400, 7)]
    times = [now - timedelta(hours=number) for number in hours]
    others = {"notes.dump", "kept-" + named(times[-1]), "other-20200101T000000Z.dump", named(times[-1]) + ".gpg"}

    def newest_of_each(period, number):
        newest = {}
        for moment in times:
            newest.setdefault(period(moment), moment)
        return list(newest.values())[:number]

    kept = {
        *times[:12],
        *newest_of_each(lambda moment: moment.date(), 9),
        *newest_of_each(lambda moment: moment.isocalendar()[:2], 6),
    }
    assert len(kept) == 12 + 6 + 4
    script = FILES.format(names=" ".join([*map(named, times), *others])) + "backup prune; ls -A $BACKUP_FOLDER"
    left = service.shell(script, BACKUP_HOURLY="12", BACKUP_DAILY="9", BACKUP_WEEKLY="6").stdout.split()
    assert set(left) == {*map(named, kept), *others}


def test_without_scheduled_backups_none_is_removed(service):
    script = FILES.format(names="wisheasy-20200101T000000Z.dump") + "backup prune; ls $BACKUP_FOLDER"
    assert service.shell(script, **NONE).stdout == "wisheasy-20200101T000000Z.dump\n"


@pytest.mark.parametrize(
    ("age", "started", "variables", "healthy"),
    [
        pytest.param(1, 9, {}, True, id="fresh"),
        pytest.param(3, 9, {}, False, id="old"),
        pytest.param(None, 9, {}, False, id="none"),
        pytest.param(-1, 9, {}, False, id="only-one-from-the-future"),
        pytest.param(3, 1, {}, True, id="old-but-just-started"),
        pytest.param(3, 9, NONE, True, id="old-and-not-scheduled"),
    ],
)
def test_the_health_check_fails_when_backups_are_overdue(service, age, started, variables, healthy):
    names = "" if age is None else named(datetime.now(UTC) - timedelta(hours=age))
    script = f"touch --date '{started} hours ago' /tmp/schedule-started; {FILES.format(names=names)} backup health"
    result = service.shell(script, check=False, **variables)
    service.shell("touch /tmp/schedule-started")
    assert (result.returncode == 0) is healthy
    assert len(result.stderr.splitlines()) == (0 if healthy else 1)
