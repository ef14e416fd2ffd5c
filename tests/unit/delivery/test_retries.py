"""Failures that may pass: when they are tried again, when they end, and what the letter then says."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pipeline.counters import Count
from pipeline.events.models import Lane
from pipeline.storage import keys
from tests.support.fake_sailthru import BAD_GATEWAY, NOT_SENT, REFUSED
from tests.support.pipe import ACCOUNT, Pipe, added, identify, open_pipe, order, track

HOUR = 3600.0


async def test_a_failed_call_is_made_again_and_delivered(pipe: Pipe) -> None:
    """A passing failure costs an attempt, not the event."""
    pipe.sailthru.trouble(NOT_SENT, on="POST /user", times=2)
    await pipe.post(identify("u1"))
    await pipe.run(10)
    assert await pipe.counts() == {"delivered": 1}
    assert len(pipe.sailthru.calls("POST /user")) == 3
    assert await pipe.redis.hget(keys.counts(ACCOUNT), Count.RETRIED) == b"2"


async def test_pauses_between_retries_grow_from_retry_first_to_retry_max(pipe: Pipe) -> None:
    """Exponential, the upper half jitter: pause n is between half and all of 2^n, 600 s at most."""
    pipe.sailthru.trouble(NOT_SENT)
    await pipe.post(identify("u1"))
    await pipe.run(3 * HOUR)
    times = pipe.sailthru.times("POST /user")
    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert len(pauses) > 15
    for n, pause in enumerate(pauses):
        full = min(600.0, 2.0**n)
        assert full / 2 <= pause <= full + 0.2, n


async def test_an_event_is_given_up_only_after_both_time_and_attempts() -> None:
    """RETRY_FOR alone would bury what was tried once, RETRY_ATTEMPTS what failed for a minute."""
    async with open_pipe(retry_for=60.0, retry_attempts=3, retry_max=5.0) as many:
        many.sailthru.trouble(NOT_SENT)
        await many.post(identify("u1"))
        await many.run(59)
        assert len(many.sailthru.sent) > 3
        assert await many.reasons() == []
        await many.run(10)
        assert await many.reasons() == ["exhausted"]
    async with open_pipe(retry_for=1.0, retry_attempts=4, retry_first=30.0) as few:
        few.sailthru.trouble(NOT_SENT)
        await few.post(identify("u1"))
        await few.run(2 * HOUR)
        assert len(few.sailthru.sent) == 4
        assert await few.reasons() == ["exhausted"]


async def test_the_letter_of_an_exhausted_event_lists_every_attempt() -> None:
    """n, when, how long, what came back, how long was waited; the call as sent."""
    async with open_pipe(retry_for=0.0, retry_attempts=4) as pipe:
        pipe.sailthru.trouble(BAD_GATEWAY)
        await pipe.post(track("u1"))
        await pipe.run(60)
        (letter,) = await pipe.letters()
        timeline = letter.header.timeline
        assert [attempt.n for attempt in timeline] == [1, 2, 3, 4]
        assert {attempt.status for attempt in timeline} == {502}
        assert all(attempt.duration_s == pytest.approx(0.05) for attempt in timeline)
        assert all(attempt.wait_s > 0 for attempt in timeline[:-1])
        assert timeline[-1].wait_s == 0
        sent = pipe.sailthru.times("POST /event")
        assert [attempt.at for attempt in timeline] == pytest.approx(
            [at + 0.05 for at in sent], abs=0.01
        )
        assert letter.as_row()["attempts"] == 4
        assert letter.as_json()["calls"][0]["endpoint"] == "/event"


async def test_a_failing_cart_look_up_is_retried_and_dies_as_such_and_others_go_on() -> None:
    """GET /user fails, everything else answers: the cart change dies, the order behind it goes out."""
    async with open_pipe(retry_for=30.0) as pipe:
        pipe.sailthru.trouble(NOT_SENT, on="GET /user")
        await pipe.post(added("u1"), order("u1", "o1"))
        await pipe.run(20)
        assert await pipe.waiting(Lane.PURCHASE, "u1") == ["m1", "m2"]
        await pipe.run(60)
        (letter,) = await pipe.letters()
        assert (letter.id, letter.header.reason) == ("m1", "cart_lookup_failed")
        assert letter.header.endpoint == "GET /user"
        assert len(letter.header.timeline) == len(pipe.sailthru.calls("GET /user")) >= 5
        assert [one.extid for one in pipe.sailthru.sandbox.state.purchases] == ["o1"]


async def test_the_head_waits_for_its_retry_and_only_its_user_waits_behind_it(pipe: Pipe) -> None:
    """Retry without reordering: no other user is held up."""
    trouble = pipe.sailthru.trouble(NOT_SENT, about="u1@")
    await pipe.post(identify("u1"), identify("u1", anonymousId="a1"), identify("u2"))
    await pipe.run(5)
    assert await pipe.waiting(Lane.USER, "u1") == ["m1", "m2"]
    assert await pipe.counts() == {"delivered": 1, "waiting:user": 2}
    pipe.sailthru.troubles.remove(trouble)
    await pipe.run(60)
    assert await pipe.counts() == {"delivered": 3}


async def test_of_a_refused_fold_only_the_culprit_dies(pipe: Pipe) -> None:
    """A fold that is refused is tried singly."""
    pipe.sailthru.trouble(REFUSED, on="POST /user", about="poisoned")
    events = [identify("u1", traits={"email": "u1@example.org", f"k{n}": n}) for n in range(5)]
    events[2]["traits"]["poisoned"] = True
    await pipe.post(*events)
    await pipe.run(5)
    (letter,) = await pipe.letters()
    assert (letter.id, letter.header.reason) == ("m3", "rejected")
    assert letter.header.target == "sandbox"
    assert letter.header.attempts == 1
    assert await pipe.counts() == {"delivered": 4, "dead:rejected": 1}
    profile = next(iter(pipe.sailthru.sandbox.state.profiles))
    assert {"k0", "k1", "k3", "k4"} <= set(profile.vars)


async def test_attempts_belong_to_events_and_not_to_folds() -> None:
    """One that joins a failing fold has all of its own attempts left when the older one dies."""
    async with open_pipe(retry_for=0.0, retry_attempts=4, retry_first=10.0) as pipe:
        pipe.sailthru.trouble(NOT_SENT)
        await pipe.post(identify("u1"))
        await pipe.run(25)
        tried = len(pipe.sailthru.sent)
        assert 2 <= tried < 4
        await pipe.post(identify("u1"))
        await pipe.run(600)
        first, second = await pipe.letters()
        assert first.header.attempts == second.header.attempts == 4
        assert second.header.timeline[0].at > first.header.timeline[tried - 1].at
