"""The project with the probe in it, for tests of jobs: takeover, retries and schedules within seconds."""

import os

from workshop.probe.settings import *  # noqa: F403
from workshop.probe.settings import SCHEDULES, TASKS

TASKS["default"]["OPTIONS"] |= {
    "LOCK_TIMEOUT": 2,
    "MAX_ATTEMPTS": 3,
    "BACKOFF_INITIAL": float(os.environ.get("BACKOFF", "0.1")),
}
SCHEDULES["note"] = {"task": "workshop.probe.tasks.note", "every": 2, "args": ["scheduled"]}
