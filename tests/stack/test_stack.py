"""`make e2e`: the stack on Docker as `make up-…` starts it, step by step."""

import re
import threading
import time

import pytest
from django.conf import settings
from django.shortcuts import resolve_url

from tests.test_serving import TOPICS, UPGRADE

PAGE = resolve_url(settings.LOGIN_URL)
MAKE_USER = "from django.contrib.auth import get_user_model as u; u()(**{u().USERNAME_FIELD: 'e2e@example.com'}).save()"
DELETE_USERS = "from django.contrib.auth import get_user_model as u; u().objects.all().delete()"
COUNT_USERS = "from django.contrib.auth import get_user_model as u; print('users:', u().objects.count())"
DO_A_JOB = """
import time
from django.conf import settings
from kit.jobs import prune
job = prune.enqueue()
for _ in range(120 * bool(settings.WORKER_PROCESSES)):
    job.refresh()
    if job.is_finished:
        break
    time.sleep(0.5)
print("job:", job.status if settings.WORKER_PROCESSES else "no worker")
"""


class Load:
    """Visitors who request a page all the time. Records all responses other than the page."""

    def __init__(self, stack):
        self.stack, self.asked, self.failed, self.ended = stack, 0, [], threading.Event()

    def ask(self):
        while not self.ended.is_set():
            try:
                status = self.stack.get(PAGE).status
            except OSError as error:
                status = repr(error)
            self.asked += 1
            if status != 200:
                self.failed.append(status)
            time.sleep(0.05)

    def __enter__(self):
        self.threads = [threading.Thread(target=self.ask) for _ in range(2)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def test_it_is_ready_in_its_mode(stack):
    ready = stack.ready()
    assert (ready["status"], ready["mode"]) == ("ready", stack.mode)


def test_a_page_and_its_files_are_served_with_their_headers(stack):
    page = stack.get(PAGE)
    assert page.status == 200
    assert "Content-Security-Policy" in page.headers
    files = re.findall(rf'(?:href|src)="({settings.STATIC_URL}[^"]+)"', page.text)
    assert files
    for path in files:
        file = stack.get(path)
        assert file.status == 200, path
        assert "immutable" in file.headers["Cache-Control"], path


def test_a_websocket_is_opened_or_the_answer_says_what_opens_one(stack):
    for topic in TOPICS:
        status = stack.get(f"/live/{topic}/ws", **UPGRADE, Origin=f"http://localhost:{stack.port}").status
        assert status in ((426,) if stack.mode == "wsgi" else (101, 403)), topic
        assert stack.get(f"/live/{topic}/changes").status in (200, 403), topic


def test_a_job_is_done(stack):
    said = stack.python(DO_A_JOB)
    if "job: no worker" in said:
        pytest.skip("WORKER_PROCESSES=0")
    assert "job: SUCCESSFUL" in said


def test_another_host_than_the_site_is_refused(stack):
    assert stack.get("/", Host="evil.example").status in (400, 404, 421)


def test_a_release_and_a_rollback_lose_no_request(stack):
    before = stack.ready()["slot"]
    # Makes another version, because the image contains apps/.
    (stack.folder / "apps/e2e.py").write_text("")
    for command in ("release", "rollback"):
        with Load(stack) as load:
            stack.run("make", command)
        assert load.asked > 20
        assert load.failed == [], command
        assert (stack.ready()["slot"] == before) == (command == "rollback")


def test_a_backup_brings_back_what_was_deleted_since(stack):
    stack.python(MAKE_USER)
    stack.run("make", "backup")
    newest = stack.run("make", "backups").split()[0]
    stack.python(DELETE_USERS)
    assert "users: 0" in stack.python(COUNT_USERS)
    database = stack.run("docker/address", "name", "secrets/database_url").strip()
    stack.run("make", "restore", f"FILE={newest}", CONFIRM=database)
    assert "users: 1" in stack.python(COUNT_USERS)


def test_the_doctor_finds_nothing_broken(stack):
    report = stack.run("docker/doctor")
    assert not re.search(r"^broken", report, re.MULTILINE)
