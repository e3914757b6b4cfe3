"""`make -C workshop bench`: serves this project in every way of sides.py, measures it, and says what is best on this
machine.

ONLY=names  only these sides, workloads or groups of workloads; a wrong name lists them
FULL=1      every side at every workload that it can answer, for longer
ROUNDS=n    how often each is measured; the medians are reported
"""

import os
import resource
import secrets
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from . import install, load, processes, report, rounds, selection, services
from .figures import Results
from .progress import Progress
from .servers import shared_variables

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    chosen = selection.select(os.environ)
    load.require_wrk()
    steps = chosen.rounds * sum(map(len, chosen.cells.values()))
    progress = Progress(steps)
    progress.say(
        f"{chosen.rounds} × {steps // chosen.rounds} measurements."
        f"{'' if chosen.full or chosen.partial else ' A default run leaves workloads out; FULL=1 takes hours.'}"
    )
    results = Results()
    # Each WebSocket is an open file, here as in the servers that inherit this.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        with ExitStack() as stack:
            # The last thing to be done, whatever went wrong before.
            stack.callback(processes.kill_children)
            versions = _run(chosen, stack, results, progress)
    except KeyboardInterrupt:
        progress.say("Interrupted: everything that was started is stopped, and nothing was written.")
        sys.exit(130)
    report.write(results, chosen, versions)


def _run(chosen, stack, results, progress) -> dict[str, str]:
    """Measure everything; the versions of the services."""
    if any(side.own_environment for side in chosen.sides):
        install.environment(progress.say)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    shared = shared_variables(folder, {}, secrets.token_urlsafe(64))
    backends, versions = None, {}
    if any(side.kind != "limit" for side in chosen.sides):
        progress.say("Starting PostgreSQL and Redis …")
        started = stack.enter_context(services.services(folder))
        backends, versions = started.backends, started.versions
        shared.update(started.variables)
        for command in ("migrate", "collectstatic --noinput"):
            words = [sys.executable, "manage.py", *command.split(), "--verbosity", "0"]
            processes.run(words, f"manage.py {command}", env=shared)
    context = rounds.Context(folder, shared, backends)
    rounds.run(chosen, context, results, progress)
    return versions


def _interrupt(number, frame) -> None:
    """Only once: a second Ctrl+C, while everything is being stopped, would leave the rest running."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
