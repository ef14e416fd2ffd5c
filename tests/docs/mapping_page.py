"""The tables in docs/mapping.md, made from the tests'. `python -m tests.docs.mapping_page` writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.unit.mapping.tables import TABLES, Row, Table

PAGE = Path(__file__).parents[2] / "docs" / "mapping.md"
BEGIN, END = "<!-- mapping: begin -->\n", "<!-- mapping: end -->\n"


def tables() -> str:
    """All tables, one section each."""
    return "\n".join(_section(table) for table in TABLES)


def page_with(text: str) -> str:
    """The page as it should be."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{text}{END}{after}"


def _section(table: Table) -> str:
    head = f"## {table.title}\n\n{table.intro}\n\n| rule | event | becomes |\n|---|---|---|\n"
    return head + "".join(_line(row) for row in table.rows)


def _line(row: Row) -> str:
    cells = (row.says, _event(row), "<br>".join(_results(row)))
    return f"| {' | '.join(cells)} |\n"


def _event(row: Row) -> str:
    parts = [_code(row.event)]
    if row.settings:
        parts.append("set: " + ", ".join(_setting(*pair) for pair in row.settings.items()))
    if row.profile is not None:
        parts.append(f"Sailthru knows: {_code(row.profile)}")
    return "<br>".join(parts)


def _results(row: Row) -> list[str]:
    results = [f"{call['method']} {call['endpoint']} {_code(call['params'])}" for call in row.calls]
    results += [f"note: `{path}` {problem}" for path, problem in row.notes.items()]
    if row.ignored:
        results.append(f"ignored: `{row.ignored}`")
    if row.refused:
        results.append(f"refused: `{row.refused[0].value}`")
    return results


def _setting(name: str, value: object) -> str:
    shown = ",".join(value) if isinstance(value, list) else str(value)
    return f"`{name.upper()}={shown.lower() if isinstance(value, bool) else shown}`"


def _code(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=False)
    shown = text if text.isprintable() else json.dumps(value)
    return f"`{shown}`".replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page_with(tables()))
