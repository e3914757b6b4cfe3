"""Django's own tests, of the very version that is pinned, with the project's handler in the place of Django's."""

import re
import subprocess
import sys
import tarfile

import pytest

from workshop.tests.servers import ROOT

SUITES = [
    "asgi", "async", "csrf_tests", "handlers", "logging_tests", "messages_tests", "middleware", "middleware_exceptions",
    "requests_tests", "sessions_tests", "signals", "test_client.tests.AsyncClientTest",
]  # fmt: skip
# What differs, by kit/serving/handler.py: a client that goes away is listened for after LISTEN_AFTER, and a body that
# comes in one message is not read on another thread. The last is Django's handler of static files, which makes no call
# of the constructor that the project's has.
DIFFERENT = {
    "test_assert_in_listen_for_disconnect", "test_disconnect_with_body", "test_read_body_thread",
    "test_static_file_response",
}  # fmt: skip


@pytest.fixture(scope="module")
def djangos_tests(tmp_path_factory):
    """The folder of the source distribution, fetched as it is locked."""
    folder = tmp_path_factory.mktemp("django")
    lock = re.search(r"^django==.*(?:\n +--hash.*)+", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[0]
    (folder / "requirements.txt").write_text(f"{lock}\n")
    words = ["download", "--quiet", "--no-deps", "--no-binary", "django", "--dest", ".", "-r", "requirements.txt"]
    subprocess.run([sys.executable, "-m", "pip", *words], cwd=folder, check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")
    return next(folder.glob("*/tests"))


def test_djangos_own_tests_pass_but_for_what_the_handler_says(djangos_tests):
    command = [sys.executable, ROOT / "workshop/tests/handler/in_django.py", djangos_tests, "--parallel", "1"]
    done = subprocess.run(
        [*command, *SUITES],
        cwd=djangos_tests, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert int(re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)[1]) > 1000
    assert set(re.findall(r"^(?:ERROR|FAIL): (\w+)", done.stderr, re.MULTILINE)) == DIFFERENT
