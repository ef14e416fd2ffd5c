"""docs/mapping-rows.md, made from the tests' tables. `python -m tests.docs.mapping_page` writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.unit.mapping.tables import TABLES, Row, Table

DOCS = Path(__file__).parents[2] / "docs"
ROWS_PAGE, LOOKUP_PAGE = DOCS / "mapping-rows.md", DOCS / "mapping.md"
HEAD = """# The mapping, row by row

This page is generated from the tests (`python -m tests.docs.mapping_page`), so each row is checked. [mapping.md](mapping.md) is the page to look
things up in. An event is shown as a producer sends it; `messageId` is left out where nothing depends on it.

"""


def page() -> str:
    """The page as it should be: all tables, one section each."""
    return HEAD + "\n".join(_section(table) for table in TABLES)


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
    ROWS_PAGE.write_text(page())
