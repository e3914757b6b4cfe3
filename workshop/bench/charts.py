"""Bar charts as Mermaid text, which GitHub and GitLab draw."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    label: str
    median: float


def chart(title: str, bars: list[Bar]) -> str:
    """One block of bars. Each label has its value, because Mermaid writes none beside a bar."""
    labels = ", ".join(f'"{bar.label}: {number(bar.median)}"' for bar in bars)
    medians = ", ".join(f"{bar.median:.4g}" if bar.median < 1000 else f"{bar.median:.0f}" for bar in bars)
    # No bar may leave the chart, and an axis from 0 to 0 is refused.
    top = max(*(bar.median for bar in bars), 1) * 1.05
    return "\n".join([
        "```mermaid",
        f'%%{{init: {{"xyChart": {{"width": 900, "height": {90 + 34 * len(bars)}}}, '
        '"themeVariables": {"xyChart": {"plotColorPalette": "#2563ab"}}}}%%',
        "xychart-beta horizontal",
        f'  title "{title}"',
        f"  x-axis [{labels}]",
        f"  y-axis 0 --> {top:.4g}" if top < 1000 else f"  y-axis 0 --> {top:.0f}",
        f"  bar [{medians}]",
        "```",
    ])  # fmt: skip


def number(value: float) -> str:
    """With as many digits as a measurement deserves."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")
