"""Options of an event, read one at a time."""

from __future__ import annotations

import pytest

from pipeline.events.models import validate_event
from pipeline.mapping.options import is_emptied


@pytest.mark.parametrize(
    ("value", "empties"),
    [("", True), (" \u200b", True), ("News", False), (None, False), (False, False), ([], False)],
)
def test_blank_text_empties_an_option_and_nothing_else_does(value: object, empties: bool) -> None:
    """SDKs write null and false for what is not given."""
    options = {"Sailthru": {"defaultListName": value}}
    event = validate_event({"type": "identify", "userId": "u1", "integrations": options})
    assert is_emptied(event, "default_list_name") is empties
    assert not is_emptied(event.model_copy(update={"integrations": {}}), "default_list_name")
