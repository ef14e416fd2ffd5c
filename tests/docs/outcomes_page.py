"""docs/outcomes.md, made from the tests of decisions. `python -m tests.docs.outcomes_page` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.unit.delivery.decisions import TABLES, Row, Table
from tests.unit.delivery.decisions.meanings import DEAD, IGNORED, OUTCOMES, Meaning

PAGE = Path(__file__).parents[2] / "docs" / "outcomes.md"
_HEAD = """# Outcomes

What becomes of an event, why, and what to do about it. This page is made from the tests
(`python -m tests.docs.outcomes_page`): each row of its last part is put to the code that decides
(`pipeline/delivery/classify.py`, `waiting.py`) and to the code that says what is written (`settlements.py`).
"""
_ROWS = """## What is decided, and what is settled

*Settled* is what one script writes into the mailbox and what belongs to it. Pauses are given with their jitter in the
middle, durations with the default settings. An event that *leaves* is in the mailbox no more; *wakes* says whose
mailboxes may have waited for it.
"""


def page() -> str:
    """The page as it should be."""
    outcomes = {kind.__name__: meaning for kind, meaning in OUTCOMES.items()}
    parts = [
        _HEAD,
        "## Outcomes\n\nOnly `Retry` uses up an attempt: waiting is not failing.\n\n"
        + _meanings("outcome", outcomes),
        "## Why events die\n\nThe `reason` of a dead letter (`sailpipe dead list --reason`).\n\n"
        + _meanings("reason", DEAD),
        "## Why events are ignored\n\nThey are counted as `ignored:REASON`, and are no dead letters.\n\n"
        + _meanings("reason", IGNORED),
        _ROWS,
        *(_table(table) for table in TABLES),
    ]
    return "\n".join(parts)


def _meanings(what: str, meanings: Mapping[Any, Meaning]) -> str:
    head = f"| {what} | what it means | what to do |\n|---|---|---|\n"
    rows = (f"| `{name}` | {one.means} | {one.do} |\n" for name, one in meanings.items())
    return head + "".join(rows)


def _table(table: Table) -> str:
    head = f"### {table.title}\n\n{table.intro}\n\n| when | outcome | settled |\n|---|---|---|\n"
    return head + "".join(_row(row) for row in table.rows)


def _row(row: Row) -> str:
    return f"| {row.says} | `{row.outcome}` | {row.settled or 'the turn goes on'} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
