"""The figures of a run: what each round measured, medians with their spread, and ratios."""

from dataclasses import dataclass, field
from statistics import median

METRICS = ("rps", "cpu", "p50", "p99", "memory", "backends", "errors", "seconds", "per_socket")


@dataclass(frozen=True)
class Figure:
    """A median with the least and the most of the rounds."""

    median: float
    low: float
    high: float


@dataclass
class Results:
    cells: dict[tuple[str, str], list[dict[str, float]]] = field(default_factory=dict)
    """By side and workload: of each round, METRICS: per second, µs of CPU each, ms, MB, seconds, KB."""
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    """By side and workload: why there is no figure."""

    def add(self, side: str, workload: str, measured: dict[str, float]) -> None:
        self.cells.setdefault((side, workload), []).append(measured)

    def figure(self, side: str, workload: str, metric: str) -> Figure | None:
        return summary(self.values(side, workload, metric))

    def values(self, side: str, workload: str, metric: str) -> list[float]:
        rounds = self.cells.get((side, workload), [])
        return [each[metric] for each in rounds if each.get(metric) is not None]

    def ratio(self, over: tuple[str, str, str], under: tuple[str, str, str]) -> Figure | None:
        """One measure divided by another, round by round: what slows a whole round down cancels out."""
        pairs = zip(self.values(*over), self.values(*under), strict=False)
        return summary([first / second for first, second in pairs if second])


def summary(values: list[float]) -> Figure | None:
    return Figure(median(values), min(values), max(values)) if values else None
