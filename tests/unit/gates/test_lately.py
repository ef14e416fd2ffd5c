"""Which answers count when a refused address may be Sailthru's trouble."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline.clock import ManualClock
from pipeline.gates.circuit import ANSWERS
from pipeline.gates.outages import Outages
from pipeline.sailthru.answers import Accepted, Failed, Failure
from pipeline.sailthru.calls import Call
from tests.unit.delivery.decisions.row import state_of, track

POST = Call("POST", "/user", {})
BAD = Failed(Failure.REJECTED, 400, 11, "Invalid email: ...")
NO_GATES: Any = None
"""An answer that shows that Sailthru is there asks for none."""


async def test_of_a_hosts_answers_the_last_hundred_count() -> None:
    """Each with the user whose address it refused, if it did. What was left unanswered refused none."""
    outages, claim = Outages(NO_GATES, ManualClock()), state_of(track()).claim
    for number in range(ANSWERS + 5):
        bad = number % 2 == 1
        user = replace(claim, user=f"u{number}")
        health = await outages.seen(user, POST, BAD if bad else Accepted(200, {}), 0)
        first = max(0, number - ANSWERS + 1)
        expected = tuple(f"u{n}" if n % 2 else "" for n in range(first, number + 1))
        assert health.lately == expected
