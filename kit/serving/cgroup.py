"""The CPUs and memory that this container may use. Neither Python nor Gunicorn reads these quotas."""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
# cgroup v1 reports the largest page-aligned number for "no limit"; no machine has this much memory.
V1_UNLIMITED = 1 << 60


def cpus(root: Path = CGROUP) -> float:
    """The CPUs that this process may use at once: the lower of the affinity mask and the quota of cgroup v2 or v1."""
    available = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if (cpu_max := _read(root / "cpu.max")) is not None:
        quota, period = cpu_max.split()
    else:
        quota = _read(root / "cpu/cpu.cfs_quota_us") or "-1"
        period = _read(root / "cpu/cpu.cfs_period_us") or "100000"
    if quota in ("max", "-1"):
        return available
    return min(available, int(quota) / int(period))


def memory(root: Path = CGROUP) -> int:
    """The bytes that this process may use: the lower of the machine's memory and the limit of cgroup v2 or v1."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read(root / "memory.max") or _read(root / "memory/memory.limit_in_bytes") or "max"
    if limit == "max" or int(limit) >= V1_UNLIMITED:
        return machine
    return min(machine, int(limit))


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
