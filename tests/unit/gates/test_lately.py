"""What one account has seen of its hosts lately: the answers that count, and endpoints that are being probed."""

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


def test_while_an_endpoint_is_probed_by_one_caller_the_others_wait_a_second() -> None:
    """They would be as many probes as there are events."""
    outages, other = Outages(NO_GATES, ManualClock()), Call("GET", "/purchase", {})
    outages.held[POST.bucket] = 5_000
    asked = [outages.held_s(POST, at) for at in (4_000, 5_000, 5_001, 5_900, 6_000, 6_500)]
    assert asked == [1.0, None, 0.999, 0.1, None, 0.5]
    assert outages.held_s(other, 4_000) is None
