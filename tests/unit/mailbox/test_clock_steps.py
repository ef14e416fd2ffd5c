"""A Redis whose clock is set back: what is due until some time is not late by the step.

And one whose clock is set forward: what is leased is not lost to its owner by the step.
"""

from __future__ import annotations

import pytest

from pipeline.events.models import Lane
from pipeline.gates.gates import Closure
from pipeline.mailbox.claim import Settlement
from pipeline.storage import keys
from pipeline.storage.numbers import MOVED_BACK_PER_WAKE
from tests.support.mailboxes import LEASE_S, Mailboxes, delivered, track, tried_again

STEP_S = 3600.0


async def test_a_mailbox_that_waits_is_leased_at_once(boxes: Mailboxes) -> None:
    """Mailboxes were due before the step, which is in the future now."""
    await boxes.post(track("m1", "ann"), track("m2", "bob"))
    await boxes.wake(Lane.EVENT, bound=0)
    boxes.clock.advance(-STEP_S)
    assert set((await boxes.wake(Lane.EVENT)).boxes) == {"ann", "bob"}


async def test_a_clock_set_back_and_forward_again_loses_nothing(boxes: Mailboxes) -> None:
    """A clock that is set right again finds every mailbox in due or leased, and every event counted."""
    await boxes.post(track("m1", "ann"), track("m2", "bob"))
    await boxes.wake(Lane.EVENT, bound=1)
    await boxes.claim(Lane.EVENT, "ann")
    for step_s in (-STEP_S, STEP_S, LEASE_S):
        boxes.clock.advance(step_s)
        await boxes.wake(Lane.EVENT)
    assert set(await boxes.leased(Lane.EVENT)) == {"ann", "bob"}
    assert await boxes.counts() == {"waiting:event": 2}


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_wake_up_moves_a_part_of_what_waits_and_those_after_it_the_rest(
    boxes: Mailboxes, bulk: bool
) -> None:
    """However many wait, many of them until the same moment: each is moved once, the sooner due the sooner."""
    await boxes.wake(Lane.EVENT)
    name = (keys.due_bulk if bulk else keys.due)("default", Lane.EVENT)
    waiting = {f"u{n}": 60_000 + n // 700 for n in range(2 * MOVED_BACK_PER_WAKE + 250)}
    await boxes.redis.zadd(name, {user: boxes.now_ms() + ms for user, ms in waiting.items()})
    boxes.clock.advance(-STEP_S)
    for moved in (1, 2, 3):
        await boxes.wake(Lane.EVENT)
        found = await boxes.due(Lane.EVENT, bulk=bulk)
        early = [user for user in waiting if found[user] == waiting[user]]
        assert len(early) == min(moved * MOVED_BACK_PER_WAKE, len(waiting))
    assert await boxes.redis.hget(keys.lane("default", Lane.EVENT), "back") is None
    await boxes.wake(Lane.EVENT)
    assert await boxes.due(Lane.EVENT, bulk=bulk) == waiting


async def test_a_clock_that_is_set_back_twice_makes_nothing_wait_for_either_step(
    boxes: Mailboxes,
) -> None:
    """What the first wake-up had no time for is moved by both."""
    await boxes.wake(Lane.EVENT)
    waiting = {f"u{n}": boxes.now_ms() + 1_000 for n in range(MOVED_BACK_PER_WAKE + 100)}
    await boxes.redis.zadd(keys.due("default", Lane.EVENT), waiting)
    for _ in range(2):
        boxes.clock.advance(-STEP_S)
        await boxes.wake(Lane.EVENT)
    await boxes.wake(Lane.EVENT)
    assert max((await boxes.due(Lane.EVENT)).values()) <= 1_000


async def test_a_retry_is_as_far_away_as_before(boxes: Mailboxes) -> None:
    await boxes.post(track("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    await boxes.store.settle(tried_again(claim, boxes.now_ms() + 5_000))
    boxes.clock.advance(-STEP_S)
    assert (await boxes.wake(Lane.EVENT)).boxes == ()
    assert await boxes.due(Lane.EVENT) == {"ann": 5_000}


async def test_an_owner_unaware_of_the_step_postpones_by_the_time_it_intends(
    boxes: Mailboxes,
) -> None:
    """It reckons from the time of its claim."""
    await boxes.post(track("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    believed = boxes.now_ms()
    boxes.clock.advance(-STEP_S)
    await boxes.store.settle(Settlement(claim, back=True, due=believed + 5_000, at=believed))
    assert await boxes.due(Lane.EVENT) == {"ann": 5_000}


async def test_a_lease_ends_when_it_would_have(boxes: Mailboxes) -> None:
    """Its owner may go on; were it dead, another has the mailbox after the lease."""
    await boxes.post(track("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    boxes.clock.advance(-STEP_S)
    assert (await boxes.wake(Lane.EVENT)).boxes == ()
    assert await boxes.leased(Lane.EVENT) == {"ann": LEASE_S * 1000}
    boxes.clock.advance(LEASE_S)
    assert (await boxes.wake(Lane.EVENT)).boxes == ("ann",)
    assert (await boxes.claim(Lane.EVENT, "ann")).token != claim.token


async def test_a_lease_that_began_after_the_step_is_not_cut_short(boxes: Mailboxes) -> None:
    """The first process to notice the step may be late: leases of the new time are good already."""
    await boxes.post(track("m1", "ann"))
    await boxes.wake(Lane.EVENT)
    boxes.clock.advance(-STEP_S)
    claim = await boxes.claim(Lane.EVENT, "ann")
    await boxes.wake(Lane.EVENT)
    assert await boxes.leased(Lane.EVENT) == {"ann": LEASE_S * 1000}
    assert await boxes.store.settle(delivered(claim, back=True)) == 0


@pytest.mark.parametrize("back", ["settle", "gate"])
async def test_a_mailbox_that_keeps_its_place_is_due_at_once(boxes: Mailboxes, back: str) -> None:
    """It was leased before the step; its old due time would be far away."""
    await boxes.post(track("m1", "ann"), track("m2", "ann"))
    await boxes.wake(Lane.EVENT)
    claim = await boxes.claim(Lane.EVENT, "ann", most=1) if back == "settle" else None
    boxes.clock.advance(-STEP_S)
    if claim is None:
        await boxes.gates.close(Closure(Lane.EVENT, "paused", 0, boxes.now_ms()))
        assert await boxes.store.claim(Lane.EVENT, "ann", most=1) is None
    else:
        claim = await boxes.settle(delivered(claim))
        await boxes.store.settle(Settlement(claim, back=True, due="old"))
    assert await boxes.due(Lane.EVENT) == {"ann": 0}


async def test_a_gate_is_probed_within_a_minute(boxes: Mailboxes) -> None:
    """No probe and no Reset is further away; what only a person opens stays closed."""
    await boxes.post(track("m1", "ann"))
    await boxes.wake(Lane.EVENT, bound=0)
    await boxes.gates.close(Closure("api", "circuit", boxes.now_ms() + 30_000, boxes.now_ms()))
    await boxes.gates.close(Closure(Lane.PAGE, "paused", 0, boxes.now_ms()))
    await boxes.wake(Lane.PAGE)
    boxes.clock.advance(-STEP_S)
    assert (await boxes.wake(Lane.EVENT)).gate == "closed"
    await boxes.wake(Lane.PAGE)
    boxes.clock.advance(60.0)
    assert (await boxes.wake(Lane.EVENT)).gate == "probe"
    assert (await boxes.wake(Lane.PAGE)).gate == "closed"


class Waker:
    """A process that wakes a lane, and whose own clock no step of Redis' touches."""

    def __init__(self, boxes: Mailboxes) -> None:
        self._boxes = boxes
        self._reckoned = 0

    async def wake(self, after_s: float = 0.0) -> tuple[str, ...]:
        """Wake once this much time has passed, for Redis and the process alike."""
        self._boxes.clock.advance(after_s)
        reckoned = self._reckoned and self._reckoned + round(after_s * 1000)
        woken = await self._boxes.wake(Lane.EVENT, own_tick=self._reckoned, reckoned=reckoned)
        self._reckoned = woken.now
        return woken.boxes

    async def seconds_until_leased(self, box: str) -> float:
        """As it wakes the lane four times a second."""
        for quarters in range(200):
            if box in await self.wake(0.25 if quarters else 0.0):
                return quarters / 4
        pytest.fail("it is never leased again")


async def test_what_is_leased_while_a_wake_up_is_under_way_outlives_the_step(
    boxes: Mailboxes,
) -> None:
    """Redis takes a while to answer it: another process leases and claims meanwhile, and then the clock is set."""
    asked = (await boxes.wake(Lane.EVENT)).now
    boxes.clock.advance(0.4)
    await boxes.post(track("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    boxes.clock.advance(STEP_S)
    await boxes.wake(Lane.EVENT, own_tick=asked, reckoned=asked + 1)
    await boxes.store.settle(delivered(claim))
    assert await boxes.counts() == {"delivered": 1}


@pytest.mark.parametrize("step_s", [1.5, 5.9, 11.0, 60.0, STEP_S])
async def test_a_clock_set_forward_takes_nothing_of_a_lease(
    boxes: Mailboxes, step_s: float
) -> None:
    """Its owner may have a call under way, which ends before the lease would have."""
    waker = Waker(boxes)
    await boxes.post(track("m1", "ann"))
    assert await waker.wake() == ("ann",)
    await boxes.claim(Lane.EVENT, "ann")
    for _ in range(12):
        await waker.wake(0.25)
    boxes.clock.advance(step_s)
    assert 9.0 <= await waker.seconds_until_leased("ann") <= LEASE_S + 0.25


async def test_a_step_forward_counts_once_however_many_wakers_see_it(boxes: Mailboxes) -> None:
    """Else the mailbox of a dead owner would wait once more for each."""
    wakers = [Waker(boxes) for _ in range(3)]
    await boxes.post(track("m1", "ann"))
    assert [await one.wake() for one in wakers] == [("ann",), (), ()]
    await boxes.claim(Lane.EVENT, "ann")
    boxes.clock.advance(5.0)
    for waker in wakers:
        await waker.wake()
    assert await boxes.leased(Lane.EVENT) == {"ann": LEASE_S * 1000}


async def test_a_lease_that_began_after_a_step_forward_is_not_prolonged(boxes: Mailboxes) -> None:
    """It was given by the clock that counts now."""
    waker = Waker(boxes)
    await boxes.post(track("m1", "ann"))
    await waker.wake()
    boxes.clock.advance(5.0)
    await boxes.claim(Lane.EVENT, "ann")
    await waker.wake()
    assert await boxes.leased(Lane.EVENT) == {"ann": LEASE_S * 1000}


@pytest.mark.parametrize("closed", [False, True])
async def test_a_clock_set_forward_brings_no_deadline_nearer(
    boxes: Mailboxes, *, closed: bool
) -> None:
    """EMAIL_WAIT and the like run on the lane's clock, behind a closed gate, too."""
    waker = Waker(boxes)
    await boxes.post(track("m1", "ann"))
    await waker.wake()
    claim = await boxes.claim(Lane.EVENT, "ann")
    await boxes.store.settle(Settlement(claim, back=True))
    if closed:
        await boxes.gates.close(Closure(Lane.EVENT, "paused", 0, boxes.now_ms()))
        await waker.wake()
    boxes.clock.advance(STEP_S)
    await waker.wake()
    await boxes.gates.open(Lane.EVENT, "paused")
    await waker.wake()
    assert (await boxes.claim(Lane.EVENT, "ann")).clock == claim.clock


async def test_a_waker_that_comes_late_is_no_step(boxes: Mailboxes) -> None:
    """Time has passed for it as for Redis: what a dead process had is leased again after its lease."""
    waker = Waker(boxes)
    await boxes.post(track("m1", "ann"))
    await waker.wake()
    await boxes.claim(Lane.EVENT, "ann")
    for _ in range(3):
        assert await waker.wake(LEASE_S / 3 - 0.001) == ()
    assert await waker.wake(0.01) == ("ann",)
