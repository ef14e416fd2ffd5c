"""What the recorded times amount to: largest windows, mean use, a table, a plot."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass

SECOND_NS = 10**9
LIMITS = {"/user": 300, "/event": 40}


@dataclass(frozen=True, slots=True)
class Row:
    """One endpoint of one scenario. Windows are half-open and slide; means are shares of the limit,
    from the first to the last call of the saturated span."""

    scenario: str
    bucket: str
    limit: int
    sent_worst_second: int
    sent_mean: float
    received_worst_second: int
    received_worst_minute: int
    received_mean: float
    dropped: int

    @property
    def holds(self) -> bool:
        """Never above the limit, as sent and as received."""
        worst = max(self.sent_worst_second, self.received_worst_second)
        return worst <= self.limit and self.received_worst_minute <= 60 * self.limit

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "holds": self.holds}


def largest_window(times: Iterable[int], width: int) -> int:
    """The most times that fit into any half-open window of `width` nanoseconds."""
    window: deque[int] = deque()
    largest = 0
    for time in sorted(times):
        window.append(time)
        while time - window[0] >= width:
            window.popleft()
        largest = max(largest, len(window))
    return largest


def mean_use(times: Iterable[int], limit: int, begin: float, end: float) -> float:
    """Calls per second over the limit, between the first and the last call within begin and end."""
    inside = sorted(time for time in times if begin * SECOND_NS <= time < end * SECOND_NS)
    if len(inside) < 2:
        return 0.0
    return (len(inside) - 1) * SECOND_NS / (inside[-1] - inside[0]) / limit


def table(rows: list[Row]) -> str:
    """For people."""
    head = ("scenario", "bucket", "limit", "sent: worst 1 s", "mean", "received: worst 1 s")
    cells = [(*head, "worst 60 s", "mean", "slots dropped", "")]
    cells += [
        (
            row.scenario,
            row.bucket,
            f"{row.limit}/s",
            str(row.sent_worst_second),
            f"{row.sent_mean:.2%}",
            str(row.received_worst_second),
            str(row.received_worst_minute),
            f"{row.received_mean:.2%}",
            str(row.dropped),
            "holds" if row.holds else "ABOVE",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
    return "\n".join(lines)


def plot(arrivals: dict[str, dict[str, list[int]]]) -> str:
    """An SVG of arrivals per second: a panel per scenario, a line per endpoint, limits dashed."""
    width, panel = 760, 170
    parts = [_panel(name, series, panel * i) for i, (name, series) in enumerate(arrivals.items())]
    height = panel * len(parts) + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11"><rect width="{width}" height="{height}" fill="white"/>'
        + "".join(parts)
        + "</svg>\n"
    )


def _panel(name: str, series: dict[str, list[int]], top: int) -> str:
    start = min(time for times in series.values() for time in times)
    seconds = max(time for times in series.values() for time in times) - start
    x_scale, base = 680 / (seconds / SECOND_NS + 1), top + 160
    lines = [f'<text x="50" y="{top + 14}">{name}: arrivals per second</text>']
    for (path, times), colour in zip(series.items(), ("#1f6fb4", "#d2691e"), strict=False):
        limit_y = base - LIMITS[path] * 0.43
        counts = Counter((time - start) // SECOND_NS for time in times)
        points = " ".join(
            f"{50 + x_scale * (second + 0.5):.1f},{base - counts[second] * 0.43:.1f}"
            for second in range(seconds // SECOND_NS + 1)
        )
        lines += [
            f'<line x1="50" x2="730" y1="{limit_y}" y2="{limit_y}" stroke="#999" stroke-dasharray="4"/>',
            f'<text x="4" y="{limit_y + 4}">{path} {LIMITS[path]}</text>',
            f'<polyline points="{points}" fill="none" stroke="{colour}"/>',
        ]
    lines.append(f'<line x1="50" x2="730" y1="{base}" y2="{base}" stroke="#333"/>')
    return "".join(lines)
