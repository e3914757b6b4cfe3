"""What a run consists of: the variables ONLY, FULL and ROUNDS."""

from collections.abc import Mapping
from dataclasses import dataclass

from .sides import SIDES, Side
from .workloads import WORKLOADS, Workload

ROUNDS = 5


@dataclass
class Selection:
    cells: dict[str, list[Workload]]
    """The workloads of each side, by its name."""
    rounds: int
    full: bool
    variables: list[str]
    """What was said on the command line, to repeat it."""

    @property
    def partial(self) -> bool:
        return any(said.startswith("ONLY=") for said in self.variables)

    @property
    def sides(self) -> list[Side]:
        return [side for side in SIDES if side.name in self.cells]


def select(environ: Mapping[str, str]) -> Selection:
    """Read the variables; a wrong one ends the bench with what there is."""
    full = environ.get("FULL", "") not in ("", "0")
    rounds = environ.get("ROUNDS") or str(ROUNDS)
    if not (rounds.isascii() and rounds.isdigit() and 0 < int(rounds) < 1000):
        raise SystemExit(f"ROUNDS={rounds!r} is wrong: expected a whole number of 1 or more.")
    names = [name.strip() for name in environ.get("ONLY", "").split(",") if name.strip()]
    wanted_sides = {side.name for side in SIDES} & set(names)
    wanted = {workload.name for workload in WORKLOADS if _names(workload) & set(names)}
    known = {side.name for side in SIDES}.union(*(_names(workload) for workload in WORKLOADS))
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"ONLY={','.join(unknown)} is wrong. {what_there_is()}")

    cells = {}
    for side in SIDES:
        if wanted_sides and side.name not in wanted_sides:
            continue
        suitable = [workload for workload in WORKLOADS if side.suits(workload)]
        if wanted and wanted_sides:
            chosen = [workload for workload in suitable if workload.name in wanted]
        elif full:
            chosen = [workload for workload in suitable if not wanted or workload.name in wanted]
        else:
            # The sides that a default run asks; for a workload that it leaves out, the three that matter most.
            quick = {workload.name for workload in WORKLOADS if workload.name in side.quick}
            if wanted:
                quick = {name for name in wanted if name in side.quick or _asked_of_nobody(name, side)}
            chosen = [workload for workload in suitable if workload.name in quick]
        if chosen:
            cells[side.name] = chosen
    if not cells:
        raise SystemExit(f"ONLY={','.join(names)} leaves nothing: no side that it names is asked for that workload.")
    said = [f"{name}={environ[name]}" for name in ("ONLY", "FULL", "ROUNDS") if environ.get(name)]
    return Selection(cells, int(rounds), full, said)


def what_there_is() -> str:
    groups = list(dict.fromkeys(workload.group for workload in WORKLOADS))
    families = list(dict.fromkeys(_family(workload) for workload in WORKLOADS))
    return (
        "There are the sides "
        + ", ".join(side.name for side in SIDES)
        + "; the workloads "
        + ", ".join(families)
        + " (also one view alone, such as query/async); and their groups "
        + ", ".join(groups)
        + "."
    )


def _asked_of_nobody(name: str, side: Side) -> bool:
    nobody = not any(name in each.quick for each in SIDES)
    return nobody and side.name in ("wsgi", "asgi", "stock")


def _family(workload: Workload) -> str:
    return workload.name.partition("/")[0]


def _names(workload: Workload) -> set[str]:
    return {workload.name, _family(workload), workload.group}
