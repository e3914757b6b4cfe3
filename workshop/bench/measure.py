"""What processes cost: CPU time, memory, and their connections to PostgreSQL."""

import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
# Seconds between two looks: memory is the dearer one, the kernel walks every page for it.
LOOK_EVERY = 0.1
MEMORY_EVERY = 5


@dataclass(frozen=True)
class Process:
    parent: int
    cpu: float
    """Seconds, user and system, with those of its children that have ended."""
    resident: int


def processes() -> dict[int, Process]:
    return _from_proc() if (PROC / "self/stat").exists() else from_ps(_ps())


def _from_proc() -> dict[int, Process]:
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    found = {}
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # proc_pid_stat(5). The second field, the name in brackets, may hold anything; these begin at the third.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            cpu = sum(map(int, fields[11:15])) / tick
            found[int(folder.name)] = Process(int(fields[1]), cpu, int(fields[21]) * page)
    return found


def _ps() -> str:
    command = [shutil.which("ps") or "ps", "-A", "-o", "pid=,ppid=,time=,rss="]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def from_ps(text: str) -> dict[int, Process]:
    """Read what `ps -A -o pid=,ppid=,time=,rss=` writes where there is no /proc: time as 1:02.34, rss in KiB."""
    found = {}
    for line in text.splitlines():
        pid, parent, clock, resident = line.split()
        cpu = 0.0
        for part in clock.split(":"):
            cpu = cpu * 60 + float(part)
        found[int(pid)] = Process(int(parent), cpu, int(resident) * 1024)
    return found


def tree(roots: list[int]) -> set[int]:
    """The processes `roots` and all that descend from them."""
    return _tree(roots, processes())


def _tree(roots, known):
    family = {root for root in roots if root in known}
    while more := {pid for pid, process in known.items() if process.parent in family} - family:
        family |= more
    return family


def cpu_seconds(roots: list[int]) -> float:
    known = processes()
    return sum(known[pid].cpu for pid in _tree(roots, known))


def memory(roots: list[int]) -> int:
    """Bytes; what processes share is counted once (PSS), where the system can tell."""
    known = processes()
    return sum(_proportional(pid) or known[pid].resident for pid in _tree(roots, known))


def _proportional(pid: int) -> int | None:
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


class Backends:
    """Counts the connections that the bench's database has, over one of its own to another database."""

    def __init__(self, address: str, database: str):
        import psycopg

        self.connection = psycopg.connect(address, autocommit=True)
        self.database = database

    def count(self) -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        return self.connection.execute(query, [self.database]).fetchone()[0]


class Watch:
    """Measures servers while the context lasts: `cpu` seconds, and the most `memory` and `backends` seen."""

    def __init__(self, roots: list[int], backends: Backends | None = None):
        self.roots = roots
        self.counter = backends
        self.cpu = 0.0
        self.memory = 0
        self.backends: int | None = 0 if backends else None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        self._before = cpu_seconds(self.roots)
        self._started = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self.cpu = cpu_seconds(self.roots) - self._before
        self.seconds = time.perf_counter() - self._started
        self._ended.set()
        self._thread.join()
        self.memory_at_end = memory(self.roots)
        self.memory = max(self.memory, self.memory_at_end)

    def _look(self) -> None:
        looks = 0
        while not self._ended.wait(LOOK_EVERY):
            looks += 1
            if self.counter:
                self.backends = max(self.backends, self.counter.count())
            if looks % MEMORY_EVERY == 0:
                self.memory = max(self.memory, memory(self.roots))
