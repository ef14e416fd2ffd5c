"""I4: no call leaves without a slot."""

from __future__ import annotations

import pytest

from pipeline.ratelimit.slots import default_limit
from tests.support.fake_sailthru import BAD_GATEWAY, TIMED_OUT
from tests.support.pipe import Pipe, added, identify, order, page, track
from tests.support.windows import worst_second

PEOPLE = 60


async def test_calls_of_every_kind_stay_within_their_limit(pipe: Pipe) -> None:
    """Deliveries, look-ups, retries and checks of orders alike, from a server that needs no time."""
    pipe.sailthru.latency_s = 0.0
    pipe.sailthru.trouble(TIMED_OUT, on="POST /purchase", about="purchase_keys", times=3)
    pipe.sailthru.trouble(BAD_GATEWAY, on="POST /event", times=3)
    for number in range(PEOPLE):
        user = f"u{number}"
        anonymous = identify(user, anonymousId=f"a{number}")
        await pipe.post(anonymous, track(user), added(user), order(user, f"o{number}"), page(user))
    await pipe.run(600)
    assert await pipe.counts() == {"delivered": 5 * PEOPLE}
    buckets = {one.call.bucket for one in pipe.sailthru.sent}
    assert buckets >= {"POST /event", "POST /purchase", "GET /user", "GET /purchase"}
    for bucket in buckets:
        assert worst_second(pipe.sailthru.times(bucket)) <= default_limit(bucket), bucket


async def test_how_long_calls_take_is_known_after_thirty_of_them(pipe: Pipe) -> None:
    """Slow calls need more mailboxes at a time. One that hung says little."""
    caller = pipe.processor._context.caller
    pipe.sailthru.latency_s = 1.2
    await pipe.post(identify("u0"))
    await pipe.run(5)
    assert caller.latency_s == pytest.approx(0.3)
    await pipe.post(*(identify(f"u{number}") for number in range(1, 31)))
    await pipe.run(60)
    assert caller.latency_s == pytest.approx(1.2, abs=0.05)
