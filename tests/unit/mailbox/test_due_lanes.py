"""Which lanes a wake-up would find something in, and who is told when there is something new."""

from __future__ import annotations

import fakeredis
import pytest

from pipeline.events.models import Lane
from pipeline.mailbox.claim import Settlement
from pipeline.mailbox.due_lanes import LANES_A_CALL, DueLanes
from pipeline.storage import keys
from tests.support.mailboxes import LEASE_S, Mailboxes, delivered, identify, track

LANES = [("default", lane) for lane in Lane]


@pytest.fixture
def boxes() -> Mailboxes:
    return Mailboxes(fakeredis.FakeAsyncRedis())


@pytest.fixture
def due(boxes: Mailboxes) -> DueLanes:
    return DueLanes(boxes.redis, time_ms=boxes.now_ms)


async def test_a_lane_is_due_from_a_post_to_its_lease_and_when_the_lease_has_run_out(
    boxes: Mailboxes, due: DueLanes
) -> None:
    """Between the two a wake-up would find nothing."""
    assert await due.among(LANES) == []
    await boxes.post(track("m1", "ann"))
    assert await due.among(LANES) == [("default", Lane.EVENT)]
    await boxes.wake(Lane.EVENT)
    assert await due.among(LANES) == []
    boxes.clock.advance(LEASE_S)
    assert await due.among(LANES) == [("default", Lane.EVENT)]


async def test_a_lane_is_due_no_sooner_than_its_mailbox(boxes: Mailboxes, due: DueLanes) -> None:
    await boxes.post(track("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    await boxes.store.settle(Settlement(claim, back=True, due=boxes.now_ms() + 1000))
    boxes.clock.advance(0.999)
    assert await due.among(LANES) == []
    boxes.clock.advance(0.001)
    assert await due.among(LANES) == [("default", Lane.EVENT)]


async def test_lanes_of_many_accounts_are_asked_for_in_few_calls_and_answered_in_order(
    boxes: Mailboxes, due: DueLanes
) -> None:
    """A broken key makes its own lane due, for the wake-up to complain of, and hides no other."""
    lanes = [(f"a{number}", Lane.USER) for number in range(2 * LANES_A_CALL + 1)]
    wanted = [lanes[0], lanes[LANES_A_CALL], lanes[-1]]
    for account, lane in wanted:
        await boxes.redis.zadd(keys.due(account, lane), {"ann": 0})
    await boxes.redis.set(keys.due(*lanes[7]), "not a sorted set")
    assert await due.among(lanes) == [wanted[0], lanes[7], *wanted[1:]]


async def test_a_mailbox_that_is_brought_forward_nudges_the_wakers_of_its_lane(
    boxes: Mailboxes,
) -> None:
    """Else what waited for an identify would wait for the next look of a waker, too."""
    await boxes.post(identify("m1", "ann"), track("m2", "ann"))
    waiting = await boxes.lease_and_claim(Lane.EVENT, "ann")
    claim = await boxes.lease_and_claim(Lane.USER, "ann")
    far = boxes.now_ms() + 60_000
    await boxes.store.settle(Settlement(waiting, back=True, waits="identify", due=far))
    async with boxes.redis.pubsub(ignore_subscribe_messages=True) as nudges:
        await nudges.subscribe(keys.DUE_NUDGES)
        await boxes.store.settle(delivered(claim, back=True, wake=(Lane.EVENT,)))
        assert await boxes.due(Lane.EVENT) == {"ann": 0}
        heard = None
        while heard is None:
            heard = await nudges.get_message(timeout=1.0)
        assert heard["data"] == keys.due("default", Lane.EVENT).encode()


async def test_the_splitter_names_the_due_sets_that_it_posts_to(boxes: Mailboxes) -> None:
    """What is ignored or dies nudges for nothing."""
    told: list[set[str]] = []
    boxes.splitter._wake = lambda due: told.append(set(due))
    await boxes.post(identify("m1", "ann"), track("m2", "ann"), {"type": "page"})
    await boxes.post({"type": "nonsense"})
    assert told == [{keys.due("default", lane) for lane in (Lane.USER, Lane.EVENT)}]
