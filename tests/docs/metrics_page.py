"""The table in docs/metrics.md, made from pipeline/metrics/names.py. `python -m tests.docs.metrics_page` writes it."""

from __future__ import annotations

from pathlib import Path

from pipeline.metrics.names import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
BEGIN, END = "<!-- metrics: begin -->\n", "<!-- metrics: end -->\n"


def table() -> str:
    """One row a metric, in the order of the file."""
    rows = ["| Metric | Kind | Labels | What it is |", "|---|---|---|---|"]
    for one in METRICS:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        rows.append(f"| `{one.shown}` | {one.kind} | {labels} | {one.help} |")
    return "\n".join(rows) + "\n"


def page_with(rows: str) -> str:
    """The page as it should be."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{rows}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with(table()))
