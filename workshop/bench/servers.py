"""Starts one side: its one or two processes and, where it has one, the Nginx before them."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import install, processes, services
from .sides import Side


@dataclass
class Server:
    """A side that runs: the processes it consists of, and the ports for pages and for WebSockets."""

    roots: list[int]
    port: int
    live_port: int
    variables: dict[str, str]
    checkout: Path = processes.ROOT
    """Where the project is that it serves."""


@contextmanager
def serving(side: Side, folder: Path, shared: dict[str, str]) -> Iterator[Server]:
    """Serve `side` for as long as the context lasts. Raises StartFailed."""
    with ExitStack() as stack:
        variables = {**shared, **side.variables}
        pages = stack.enter_context(_process(side, folder, variables))
        roots, port = [pages[0]], pages[1]
        live_port = port
        if side.live:
            pid, live_port = stack.enter_context(_process(side, folder, {**shared, **side.live}))
            roots.append(pid)
        if side.nginx:
            port = stack.enter_context(services.nginx(folder, port))
        yield Server(roots, port, live_port, variables)


@contextmanager
def _process(side: Side, folder: Path, variables: dict[str, str]) -> Iterator[tuple[int, int]]:
    port = processes.free_port()
    environment = install.FOLDER if side.own_environment else Path(sys.prefix)
    filled = side.command.format(port=port, workers=side.workers, environment=environment)
    name, *arguments = shlex.split(filled)
    program = environment / "bin" / name
    if not program.exists():
        raise processes.StartFailed(f"{name} could not be installed; it may need a compiler.")
    log = folder / f"{side.name}.log"
    log.write_text("")
    command = [str(program), *arguments]
    environ = {**variables, "PORT": str(port), "WEB_CONCURRENCY": str(side.workers)}
    # It has nothing to save: a graceful stop would only make the run longer.
    with processes.running(command, log, stop_signal=signal.SIGKILL, env=environ) as process:
        processes.until_answers(process, port, log)
        yield process.pid, port


def shared_variables(folder: Path, services_variables: dict[str, str], secret_key: str) -> dict[str, str]:
    """The environment of every side: of this shell no more than the path."""
    return {
        "PATH": os.environ.get("PATH", ""),
        # Gunicorn writes there, where nothing keeps it from it.
        "HOME": str(folder),
        "PYTHONPATH": str(processes.ROOT),
        "DJANGO_SETTINGS_MODULE": "workshop.lab.settings",
        "SECRET_KEY": secret_key,
        # As behind Nginx: then Gunicorn writes no line for each request.
        "FORWARDED_ALLOW_IPS": "127.0.0.1",
        # As in a slot, whose jobs run in a container beside.
        "WORKER_PROCESSES": "0",
        **services_variables,
    }
