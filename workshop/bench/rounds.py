"""Starts each side in turn, round after round, and measures its workloads."""

from dataclasses import dataclass
from pathlib import Path

from . import cells, measure, processes, servers
from .figures import Results
from .progress import Progress
from .selection import Selection


@dataclass
class Context:
    folder: Path
    """Where logs and the like lie."""
    variables: dict[str, str]
    """The environment of every side."""
    backends: measure.Backends | None


def run(selection: Selection, context: Context, results: Results, progress: Progress) -> None:
    """Fill `results`. A side that does not start, or does not answer, is a failure in them and not tried again."""
    for number in range(selection.rounds):
        # In every other round the order is turned round: a machine that gets slower with time wrongs nobody.
        for side in selection.sides[:: 1 if number % 2 == 0 else -1]:
            left = [each for each in selection.cells[side.name] if (side.name, each.name) not in results.failures]
            skipped = len(selection.cells[side.name]) - len(left)
            if skipped:
                progress.step(f"{side.label}: did not work", skipped)
            if not left:
                continue
            begun = 0
            try:
                with servers.serving(side, context.folder, context.variables) as server:
                    for workload in left:
                        begun += 1
                        progress.step(f"round {number + 1}/{selection.rounds}: {side.label}: {workload.name}")
                        try:
                            measured = cells.measured(workload, server, context.backends, selection.full)
                            results.add(side.name, workload.name, measured)
                        except cells.NotMeasured as error:
                            results.failures[side.name, workload.name] = str(error)
            except processes.StartFailed as error:
                progress.step(f"{side.label}: {error}", len(left) - begun)
                for workload in left:
                    results.failures[side.name, workload.name] = str(error)
