"""Writes what was measured: JSON for programs, Markdown for people, and the gist on the terminal."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from .advice import advice
from .charts import Bar, chart, number
from .figures import METRICS, Figure, Results
from .machine import machine
from .selection import Selection
from .targets import rows
from .workloads import SECONDS, WORKLOADS

CHARTS = {
    "rps": "requests per second (higher is better)",
    "cpu": "CPU per request, in µs (lower is better)",
}


INTRODUCTION = (
    "`{command}` on {date}: medians of {rounds}, the minimum and maximum in brackets; wrk loaded each "
    "address for {seconds} s{length}. Clients, servers, PostgreSQL and Redis share this machine, so look at the "
    "ratios: they hold elsewhere; the requests per second do not. Two workers each, unless the name says otherwise."
)
LEGEND = (
    "CPU is the time of all processes of the server, user and system, for each request or delivery. Memory is their "
    "peak, shared pages counted once. Backends is the highest number of connections seen, errors the total of all "
    "rounds. Ratios are relative to the first row."
)
TARGETS_NOTE = "Ratios are taken round by round. Where something must never happen, the worst round counts."
RESULTS = Path(__file__).parent / "results"


def write(results: Results, selection: Selection, versions: dict[str, str]) -> None:
    # What ONLY leaves of them must not take the place of complete results.
    folder = RESULTS / "partial" if selection.partial else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command(selection),
        "rounds": selection.rounds,
        "machine": machine(versions),
        "targets": [row for row in rows(results) if not selection.partial or row["met"] is not None],
        "advice": advice(results),
        "figures": [_cell(results, side, workload) for side, workload in results.cells],
        "failures": [
            {"side": side, "workload": workload, "why": why} for (side, workload), why in results.failures.items()
        ],
    }
    (folder / "latest.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    (folder / "README.md").write_text(markdown(results, selection, document))
    sys.stdout.write(f"\n{_targets(document['targets'], plain=True)}\n\n" if document["targets"] else "\n")
    sys.stdout.write("".join(f"{sentence}\n" for sentence in document["advice"]))
    sys.stdout.write(f"\nThe tables and charts are in {folder.relative_to(Path.cwd(), walk_up=True)}/README.md.\n")


def command(selection: Selection) -> str:
    return " ".join(["make -C workshop bench", *selection.variables])


def _rounds(selection: Selection) -> str:
    return "1 round" if selection.rounds == 1 else f"{selection.rounds} rounds"


def _cell(results: Results, side: str, workload: str) -> dict:
    figures = {metric: results.figure(side, workload, metric) for metric in METRICS}
    medians = {metric: asdict(figure) for metric, figure in figures.items() if figure}
    return {"side": side, "workload": workload, **medians, "rounds": results.cells[side, workload]}


def _charts(results: Results, selection: Selection) -> list[str]:
    """The sync and the async view of a page in one block: a mode is chosen between them."""
    blocks: dict[str, list[Bar]] = {}
    for metric, explanation in CHARTS.items():
        for workload in WORKLOADS:
            if workload.client != "wrk" or workload.name.startswith("crowd"):
                continue
            title = f"{workload.about.rpartition(', ')[0]}: {explanation}"
            for side in selection.sides:
                figure = results.figure(side.name, workload.name, metric)
                # A worker count more or less is for the advice, and a server without Django would dwarf the others.
                if figure and not side.is_a_count and side.kind != "limit":
                    view = f", {workload.view}" if side.interface == "asgi" else ""
                    blocks.setdefault(title, []).append(Bar(f"{side.label}{view}", figure.median))
    return [
        chart(title, sorted(bars, key=lambda bar: bar.median, reverse=title.endswith(CHARTS["rps"])))
        for title, bars in blocks.items()
    ]


def markdown(results: Results, selection: Selection, document: dict) -> str:
    drawn = _charts(results, selection)
    parts = [
        "# Measurements",
        INTRODUCTION.format(
            command=document["command"],
            date=document["date"][:10],
            rounds=_rounds(selection),
            seconds=SECONDS[selection.full],
            length="" if selection.full else " (short, to end within 15 minutes)",
        ),
        _table(["this machine", ""], [[name, value] for name, value in document["machine"].items()]),
        "## Advice for this machine",
        "\n".join(f"- {sentence}" for sentence in document["advice"]),
        *(["## Targets", TARGETS_NOTE, _targets(document["targets"])] if document["targets"] else []),
        "## Charts" if drawn else "",
        *drawn,
        "## Everything",
        LEGEND,
        *(_workload(results, selection, workload) for workload in WORKLOADS),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _workload(results: Results, selection: Selection, workload) -> str:
    asked = [side for side in selection.sides if workload in selection.cells[side.name]]
    if not asked:
        return ""
    head = ["side", "per second", "ratio", "CPU, µs", "ratio", "p50, ms", "p99, ms", "memory, MB", "backends", "errors"]
    if workload.client == "idle":
        head.append("KB per socket")
    measured = [side for side in asked if (side.name, workload.name) in results.cells]
    lines = []
    for side in asked:
        failure = results.failures.get((side.name, workload.name))
        if side not in measured:
            lines.append([side.label, f"– {failure or 'not measured'}", *[""] * (len(head) - 2)])
            continue
        first = measured[0]
        figures = {metric: results.figure(side.name, workload.name, metric) for metric in METRICS}
        ratios = {
            metric: results.ratio((side.name, workload.name, metric), (first.name, workload.name, metric))
            for metric in ("rps", "cpu")
        }
        lines.append(
            [
                f"{side.label} – then {failure}" if failure else side.label,
                *(_spread(figures["rps"]), _times(ratios["rps"]), _spread(figures["cpu"]), _times(ratios["cpu"])),
                *(_spread(figures["p50"]), _spread(figures["p99"]), _median(figures["memory"])),
                _median(figures["backends"] and Figure(figures["backends"].high, 0, 0)),
                number(sum(results.values(side.name, workload.name, "errors"))),
                *([_spread(figures["per_socket"])] if workload.client == "idle" else []),
            ]
        )
    return f"### {workload.name}: {workload.about}\n\n{_table(head, lines)}"


def _targets(found: list[dict], plain: bool = False) -> str:
    lines = []
    for row in found:
        if row["met"] is None:
            lines.append([row["what"], row["target"], "not measured", ""])
        else:
            figure = Figure(row["median"], row["low"], row["high"])
            unit = row["unit"] if row["unit"] in ("×", "") else f" {row['unit']}"
            lines.append([row["what"], row["target"], _spread(figure, unit), "met" if row["met"] else "**missed**"])
    if not plain:
        return _table(["what", "target", "measured", ""], lines)
    lines = [[*line[:3], line[3].strip("*").upper() if "*" in line[3] else line[3]] for line in lines]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, [*widths, 0], strict=True)) for line in lines
    )


def _table(head: list[str], lines: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)] if len(head) > 4 else ["---"] * len(head)
    cells = [head, rule, *([str(cell).replace("|", "\\|") for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _spread(figure: Figure | None, unit: str = "") -> str:
    if figure is None:
        return ""
    spread = "" if figure.low == figure.high else f" ({number(figure.low)}–{number(figure.high)})"
    return f"{number(figure.median)}{unit}{spread}"


def _times(figure: Figure | None) -> str:
    return f"{number(figure.median)}×" if figure else ""


def _median(figure: Figure | None) -> str:
    return number(figure.median) if figure else ""
