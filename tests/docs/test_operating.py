"""docs/operating.md names commands that there are, with options they have, and words that `status` prints."""

from __future__ import annotations

import re
import shlex

import pytest

from pipeline.cli.commands import load
from pipeline.cli.status import _LANE_COLUMNS, describe_prospect
from pipeline.status.outlook import Prospect
from tests.docs.snippets import DOCS, snippets

PAGE = (DOCS / "operating.md").read_text()
LINES = [line for block in snippets("operating.md", "sh") for line in block.splitlines()]
NAMED = re.findall(r"`(sailpipe [^`]+)`", PAGE)
CELERY = {"inspect ping", "inspect active_queues", "status", "control enable_events"}
"""What tests/integration/test_celery_commands.py runs."""


@pytest.mark.parametrize(
    "line", sorted({*LINES, *NAMED} - {*map("celery -A workers {}".format, CELERY)})
)
def test_a_command_of_the_page_exists_with_its_options(line: str) -> None:
    program, name, *words = shlex.split(line)
    assert program == "sailpipe"
    command = load(name)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    known = {option for param in command.params for option in param.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_prospect_of_a_lane_is_explained() -> None:
    for prospect in set(Prospect) - {Prospect.CLEARS}:
        shown = describe_prospect({"clears_at": None, "prospect": prospect})
        assert f"| `{shown}` |" in PAGE
    shown = describe_prospect({"clears_at": "2026-11-27T14:35:00.000+00:00", "prospect": "clears"})
    assert f"| `{shown}` |" in PAGE


def test_the_columns_that_the_page_speaks_of_are_in_the_table() -> None:
    assert {"calls/s", "oldest", "empty", "retrying", "no email"} <= set(_LANE_COLUMNS)
    assert all(f"`{name}`" in PAGE for name in ("calls/s", "oldest", "empty", "retrying"))
