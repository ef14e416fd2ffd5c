"""docs/operating.md names commands that there are, with options they have, and words that `status` prints."""

from __future__ import annotations

import re
import shlex

import pytest

from pipeline.alerting.rules import KINDS
from pipeline.cli.commands import load
from pipeline.cli.status import _LANE_COLUMNS, describe_prospect
from pipeline.status.outlook import Prospect
from tests.docs.snippets import DOCS, snippets

PAGE = (DOCS / "operating.md").read_text()
QUESTIONS = [
    "Is anything wrong?",
    "Are the workers alive, where, and which version?",
    "Does it deliver now, and how fast?",
    "How late are we, and when is it clear?",
    "Why is this lane stuck?",
    "Which events wait, for what, until when?",
    "Is it Sailthru or us, since when, and when is the next try?",
    "Is Redis down, full, read-only, its disk full, the password wrong?",
    "What died, of what, and whose fault is it?",
    "Where is this customer's order?",
    "Replay a group slowly; how far is it; stop it",
    "Pause, slow down, speed up; who paused it?",
    "Who is refused at the door?",
    "Did we drop letters, or events?",
    "Restart, upgrade and rotate without loss",
]
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


def test_every_alert_has_somebody_whom_it_is_for() -> None:
    table = PAGE.partition("## Who is paged for what?")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| who ")][1:]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(KINDS)


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_of_a_bad_night_has_its_answer(question: str) -> None:
    """A heading, and below it a command in a block or between backticks."""
    answer = PAGE.partition(f"## {question}\n")[2].partition("\n## ")[0]
    assert "sailpipe " in answer
