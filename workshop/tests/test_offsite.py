"""docker/offsite, which copies backups to a store, in each shell: a program of the test's own stands in for rclone."""

import os
import time

import pytest

from workshop.tests.shells import SHELLS, Container

STORE = {
    "BACKUP_S3_ENDPOINT": "https://s3.example.com",
    "BACKUP_S3_BUCKET": "bucket/folder",
    "BACKUP_S3_KEY_ID": "key",
}
GOOD = 'echo "$*" >"$TMPDIR/asked"; echo "2026/11/21 10:00:00 INFO  : one.dump: Copied (new)" >&2'
# As the real one says it.
BAD = """
echo '2026/11/21 10:00:00 NOTICE: something else
2026/11/21 10:00:00 ERROR : one.dump: Failed to copy: NoSuchBucket: The specified bucket does not exist
\tstatus code: 404, request id: x, host id:
2026/11/21 10:00:00 Failed to copy with 1 errors' >&2
exit 1
"""


@pytest.fixture(params=SHELLS)
def run(request, tmp_path):
    container = Container(tmp_path / "container", request.param, "offsite")

    def run(*command, rclone=GOOD, secret="secret\n", **variables):
        (tmp_path / "secret").write_text(secret)
        container.program("rclone", rclone)
        environment = {"TMPDIR": str(tmp_path), "BACKUP_FOLDER": "/backups"}
        environment["BACKUP_S3_SECRET_FILE"] = str(tmp_path / "secret")
        return container.run(*command, **{**environment, **STORE, **variables})

    run.container = container
    return run


def test_complete_backups_are_copied_and_none_is_replaced_or_removed(run, tmp_path):
    assert run("now").stdout == "Copied 1. Visitors' files copied: 0.\n"
    asked = (tmp_path / "asked").read_text()
    assert " copy --include *.dump --immutable " in asked
    assert asked.endswith(" /backups store:bucket/folder\n")
    assert "secret" not in asked


def test_visitors_files_are_copied_beside_them(run, tmp_path):
    (tmp_path / "media").mkdir()
    assert run("now", MEDIA_FOLDER=str(tmp_path / "media")).stdout == "Copied 1. Visitors' files copied: 1.\n"
    asked = (tmp_path / "asked").read_text()
    assert asked.endswith(f" {tmp_path}/media store:bucket/folder/media\n")
    assert " copy --exclude /.uploads/** --immutable " in asked


@pytest.mark.parametrize("name", STORE)
def test_a_variable_that_is_missing_is_named(run, name):
    result = run("now", **{name: ""})
    assert (result.returncode, result.stderr) == (
        1,
        f"{name} is missing: set it in .env, or leave offsite out of COMPOSE_PROFILES.\n",
    )


def test_a_secret_that_is_missing_is_named(run):
    result = run("now", secret="")
    assert (result.returncode, result.stderr) == (
        1,
        "secrets/backup_s3_secret is empty: put the secret of the key there, "
        "or leave offsite out of COMPOSE_PROFILES.\n",
    )


def test_rclone_gets_the_secret_of_the_file(run, tmp_path):
    run("now", rclone='echo "$RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY" >"$TMPDIR/told"', secret="a$b 'c\n")
    assert (tmp_path / "told").read_text() == "a$b 'c\n"


def test_the_first_complaint_of_rclone_is_the_reason(run, tmp_path):
    result = run("now", rclone=BAD)
    assert result.returncode == 1
    assert result.stderr == (
        "The store failed: one.dump: Failed to copy: NoSuchBucket: The specified bucket does not exist\n"
    )
    assert not (tmp_path / "copied").exists()


def test_those_that_are_in_the_store_are_listed(run):
    assert "one.dump" in run("list", rclone="echo one.dump").stdout


def test_a_backup_that_is_not_in_the_store_is_no_empty_file(run):
    result = run("get", "one.dump")
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "There is no backup 'one.dump' in the store.\n")


@pytest.mark.parametrize("command", [("now",), ("list",), ("get", "one.dump")], ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("rclone", "reason"),
    [
        (BAD, "one.dump: Failed to copy: NoSuchBucket: The specified bucket does not exist"),
        ("kill -9 $$", "rclone ended with status 137"),
        ("echo 'Error: unknown flag: --x' >&2; exit 2", "unknown flag: --x"),
    ],
    ids=["refused", "killed", "usage"],
)
def test_whatever_rclone_does_not_do_fails_with_one_reason(run, command, rclone, reason):
    result = run(*command, rclone=rclone)
    assert (result.returncode, result.stdout) == (1, "")
    # Before it, bash tells of a program that was killed.
    said = [line for line in result.stderr.splitlines() if " Killed " not in line]
    assert said == [f"The store failed: {reason}"]


@pytest.mark.parametrize(("rclone", "pause"), [(GOOD, "3600"), (BAD, "300")], ids=["good", "bad"])
def test_after_a_copy_that_failed_the_next_is_sooner(run, tmp_path, rclone, pause):
    run.container.program("sleep", f'echo "$1" >"{tmp_path}/slept"; kill "$PPID"')
    run("schedule", rclone=rclone)
    assert (tmp_path / "slept").read_text() == f"{pause}\n"


@pytest.mark.parametrize(("hours", "healthy"), [(1, True), (3, False)])
def test_the_health_check_fails_when_nothing_was_copied_for_hours(run, tmp_path, hours, healthy):
    run("now")
    os.utime(tmp_path / "copied", (time.time() - hours * 3600,) * 2)
    assert (run("health").returncode == 0) is healthy


def test_no_log_of_rclone_is_left(run, tmp_path):
    run("now")
    run("now", rclone=BAD)
    assert {path.name for path in tmp_path.iterdir()} == {"container", "secret", "asked", "copied"}
