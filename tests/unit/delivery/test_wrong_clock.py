"""A worker on a machine whose clock is wrong: what counts is Redis' time, which all processes share."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.clock import ManualClock
from pipeline.events.models import Lane
from tests.support.fake_sailthru import BAD_GATEWAY, no, throttled
from tests.support.pipe import Pipe, added, identify, open_pipe, order, track

HOUR_S = 3600.0


class WrongClock(ManualClock):
    """Says another time than `right`, and runs as it does."""

    def __init__(self, right: ManualClock, off_by_s: float) -> None:
        super().__init__()
        self._right = right
        self._off_by_s = off_by_s

    def now(self) -> float:
        return self._right.now() + self._off_by_s

    def monotonic(self) -> float:
        return self._right.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._right.sleep(seconds)


async def delivered(off_by_s: float) -> tuple[list[tuple[float, str]], dict[str, int], list[str]]:
    """What leaves when, the counts and the deaths of a busy hour with retries, waits, deadlines and throttling."""
    deadlines: dict[str, Any] = {
        "email_wait": HOUR_S / 2,
        "user_wait": HOUR_S / 4,
        "max_age": {Lane.EVENT: HOUR_S},
    }
    async with open_pipe(**deadlines) as pipe:
        pipe.start_process(WrongClock(pipe.clock, off_by_s))
        await _an_hour(pipe)
        start = pipe.sailthru.sent[0].at
        calls = [(round(one.at - start, 3), one.call.bucket) for one in pipe.sailthru.sent]
        return calls, await pipe.counts(), await pipe.reasons()


async def _an_hour(pipe: Pipe) -> None:
    pipe.sailthru.trouble(throttled(pipe.clock.now() + 20), on="POST /event", times=1)
    pipe.sailthru.trouble(no(429, 43), on="POST /purchase", times=1)
    pipe.sailthru.trouble(BAD_GATEWAY, on="POST /user", times=2)
    await pipe.post(identify("u1"), track("u1"), added("u1"), order("u1", "o1"))
    await pipe.post(order("u2", "o2", email=False), track("nobody"))
    await pipe.run(HOUR_S)


@pytest.mark.parametrize("off_by_s", [-60.0, 60.0])
async def test_a_clock_that_is_a_minute_off_changes_nothing_that_leaves(off_by_s: float) -> None:
    """The same calls at the same times, and the same deaths."""
    assert await delivered(off_by_s) == await delivered(0.0)
