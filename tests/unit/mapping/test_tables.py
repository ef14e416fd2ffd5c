"""Every row of the tables that docs/mapping-rows.md shows."""

from __future__ import annotations

import json

import pytest

from pipeline.events.kinds import Kind, kind_of
from pipeline.events.models import validate_event
from pipeline.mapping import dry_run
from pipeline.settings import AccountSettings
from tests.unit.mapping.tables import TABLES, Row

ROWS = [
    pytest.param(row, id=f"{table.title}: {row.says}") for table in TABLES for row in table.rows
]


@pytest.mark.parametrize("row", ROWS)
def test_an_event_becomes_what_its_row_says(row: Row) -> None:
    """Calls in order, with exactly these params and notes; or ignored, or refused, for that reason."""
    settings = AccountSettings.model_validate(row.settings)

    line = dry_run(json.dumps(row.event).encode(), settings, row.profile)

    assert line["calls"] == list(row.calls)
    assert {note["path"]: note["problem"] for note in line["notes"]} == row.notes
    assert line["ignored"] == row.ignored
    _check_refusal(line["error"], row)


def test_every_kind_of_event_has_a_row() -> None:
    """A kind without one is documented nowhere. A group's is with what is ignored."""
    events = [row.event for table in TABLES for row in table.rows if row.refused is None]
    kinds = {kind_of(validate_event(event), AccountSettings()) for event in events}
    assert kinds == set(Kind) - {Kind.OPTOUT}, "what is made of an event beside its own call"


def test_every_row_says_something_else() -> None:
    """Two rows of one table with one sentence would be one rule in two versions."""
    for table in TABLES:
        said = [row.says for row in table.rows]
        assert sorted(set(said)) == sorted(said)


def _check_refusal(error: dict[str, str] | None, row: Row) -> None:
    if row.refused is None:
        assert error is None
        return
    reason, words = row.refused
    assert error is not None
    assert error["reason"] == reason
    assert words in error["detail"]
