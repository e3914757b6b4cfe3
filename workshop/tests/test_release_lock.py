"""The lock of releases (docker/lock.sh), with the tools of this machine and with those of BusyBox, without flock."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .busybox import tools
from .servers import ROOT

TAKE = """
stop() { echo "$*" >&2; exit 1; }
. docker/lock.sh
take_lock "$1"
echo taken
"""


class Folder:
    def __init__(self, path: Path, programs: Path | None):
        self.path = path
        self.environment = {"PATH": str(programs) if programs else os.environ["PATH"]}

    def start(self, then: str, name: str = "release") -> subprocess.Popen:
        """A process that takes the lock, says so, and goes on with these lines."""
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", TAKE + then, "bash", name],
            cwd=self.path, env=self.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def take(self, then: str = "") -> tuple[int, str]:
        with self.start(then) as process:
            stdout, stderr = process.communicate(timeout=100)
        return process.returncode, stdout + stderr

    def hold(self, then: str = "read -r _") -> subprocess.Popen:
        process = self.start(then)
        assert process.stdout.readline() == "taken\n"
        return process


@pytest.fixture(params=["of-this-machine", "of-busybox"])
def folder(tmp_path, request):
    programs = None
    if request.param == "of-busybox":
        programs = tools(tmp_path / "bin")
    (tmp_path / "clone/docker").mkdir(parents=True)
    shutil.copy(ROOT / "docker/lock.sh", tmp_path / "clone/docker")
    return Folder(tmp_path / "clone", programs)


def pipes(folder):
    return [path for path in (folder.path / "var/release").iterdir() if path.is_fifo()]


def test_while_one_holds_it_the_next_says_who_and_afterwards_it_is_free(folder):
    with folder.hold() as first:
        status, said = folder.take()
        assert status == 1
        assert said.startswith(f"Another command is running: process {first.pid} (make release, by ")
        first.communicate("\n")
    assert first.returncode == 0
    # Nothing that a copy of the folder, or a search in it, could wait for.
    assert pipes(folder) == []
    assert folder.take() == (0, "taken\n")
    assert len(list((folder.path / "var/release").iterdir())) == 1


def test_one_that_is_killed_leaves_it_to_the_next(folder):
    with folder.hold() as first:
        first.kill()
    # Its number may be that of another process by now, as after a restart of the machine.
    holder = folder.path / "var/release/holder"
    holder.write_text(holder.read_text().replace(str(first.pid), str(os.getpid()), 1))
    begin = time.monotonic()
    assert folder.take() == (0, "taken\n")
    assert time.monotonic() - begin < 30


def test_what_one_that_was_killed_has_started_is_waited_for(folder):
    with folder.hold("sleep 100 & echo $!; wait") as first:
        child = int(first.stdout.readline())
        first.kill()
    with folder.start("") as second:
        # Longer than it takes to find out that the first is gone.
        time.sleep(3)
        assert second.poll() is None
        os.kill(child, signal.SIGKILL)
        assert second.communicate(timeout=60) == ("taken\n", "")


def test_of_many_that_take_over_at_once_one_has_it_at_a_time(folder):
    for _ in range(3):
        with folder.hold() as killed:
            killed.kill()
        # Two in it at once would see each other's folder.
        alone = "mkdir alone; sleep 0.05; rmdir alone"
        many = [folder.start(alone) for _ in range(8)]
        results = [(*process.communicate(timeout=100), process.returncode) for process in many]
        assert [result for result in results if result[2] == 0], results
        for stdout, stderr, status in results:
            assert (
                (stdout, stderr) == ("taken\n", "")
                if status == 0
                else stderr.startswith("Another command is running: process ")
            )
