"""Bar charts as SVG, readable on a light and on a dark page, by what the reader's system prefers."""

from dataclasses import dataclass
from html import escape

WIDTH, LABELS, VALUES, BAR, GAP = 860, 250, 130, 15, 5
HEAD, GROUP = 64, 34
STYLE = """
  :root { color-scheme: light dark; }
  .ground { fill: #ffffff; } .text { fill: #1f2933; } .quiet { fill: #5b6773; } .line { stroke: #cfd6dd; }
  .wisheasy { fill: #2563ab; } .other { fill: #a3aeb9; } .limit { fill: #dfe4e9; stroke: #a3aeb9; }
  .spread { stroke: #1f2933; stroke-width: 1.5; }
  text { font: 13px system-ui, sans-serif; } .title { font-size: 17px; font-weight: 600; } .group { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #14191f; } .text { fill: #e6ebf0; } .quiet { fill: #9ba7b4; } .line { stroke: #38424d; }
    .wisheasy { fill: #6cabf0; } .other { fill: #66727f; } .limit { fill: #262e37; stroke: #66727f; }
    .spread { stroke: #e6ebf0; }
  }
"""


@dataclass(frozen=True)
class Bar:
    label: str
    kind: str
    """wisheasy, other or limit."""
    median: float
    low: float
    high: float


def chart(title: str, explanation: str, groups: list[tuple[str, list[Bar]]]) -> str:
    """One block of bars for each group, on a scale of its own. The thin line on a bar is the spread."""
    room = WIDTH - LABELS - VALUES
    height = HEAD + sum(GROUP + len(bars) * (BAR + GAP) for _, bars in groups) + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-labelledby="title"><title id="title">{escape(title)}</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        f'<text class="text title" x="16" y="28">{escape(title)}</text>',
        f'<text class="quiet" x="16" y="48">{escape(explanation)}</text>',
    ]
    top = HEAD
    for name, bars in groups:
        parts.append(f'<text class="text group" x="16" y="{top + 22}">{escape(name)}</text>')
        top += GROUP
        # A server without Django would leave the others nothing to be compared by: its bar is cut.
        scale = max([bar.median for bar in bars if bar.kind != "limit"] or [bar.median for bar in bars] or [1]) * 1.08
        bottom = top + len(bars) * (BAR + GAP)
        parts.append(f'<line class="line" x1="{LABELS}" x2="{LABELS}" y1="{top - 4}" y2="{bottom}"/>')
        for bar in bars:
            parts.append(_bar(bar, top, scale or 1, room))
            top += BAR + GAP
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(bar: Bar, top: int, scale: float, room: int) -> str:
    def across(value: float) -> float:
        return round(min(value / scale, 1) * room, 1)

    length = max(across(bar.median), 1)
    middle = top + BAR / 2
    cut = bar.median > scale
    spread = ""
    if not cut and across(bar.high) - across(bar.low) > 2:
        start, end = LABELS + across(bar.low), LABELS + across(bar.high)
        spread = f'<line class="spread" x1="{start}" x2="{end}" y1="{middle}" y2="{middle}"/>'
    beside = LABELS + max(length, across(bar.high) if spread else 0) + 8
    value = f"{'→ ' if cut else ''}{number(bar.median)}"
    return (
        f'<text class="text" x="{LABELS - 8}" y="{top + 12}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect class="{bar.kind}" x="{LABELS}" y="{top}" width="{length}" height="{BAR}" rx="2"/>'
        f'{spread}<text class="text" x="{beside}" y="{top + 12}">{value}</text>'
    )


def number(value: float) -> str:
    """With as many digits as a measurement deserves."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")
