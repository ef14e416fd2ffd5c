"""A lane that no process consumes for a day."""

from __future__ import annotations

import math

import fakeredis

from pipeline.delivery.capacity import MESSAGE_BOXES, QUEUE_MESSAGES
from pipeline.events.models import Lane
from pipeline.storage import keys
from tests.support.mailboxes import LEASE_S, Mailboxes, track

BOUND = 88
"""Mailboxes of a 40/s lane that are leased at a time."""
DAY_S, STEP_S = 86_400.0, 4 * LEASE_S


async def test_the_queue_of_an_unserved_lane_stays_short_and_nothing_counts_against_its_events() -> (
    None
):
    """Leases run out and are made again, but nothing more is published to a queue that is long."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis())
    queue, longest = keys.celery_queue(Lane.EVENT), 0
    await boxes.post(*(track(f"m{number}", f"u{number}") for number in range(150)))
    for _ in range(int(DAY_S / STEP_S)):
        leased = await boxes.store.wake(
            Lane.EVENT, bound=BOUND, max_queue_length=QUEUE_MESSAGES, own_tick=0
        )
        for _ in range(math.ceil(len(leased.boxes) / MESSAGE_BOXES)):
            longest = await boxes.redis.rpush(queue, "a wake-up")
        boxes.clock.advance(STEP_S)
    assert QUEUE_MESSAGES <= longest <= QUEUE_MESSAGES + math.ceil(BOUND / MESSAGE_BOXES)
    await boxes.redis.delete(queue)
    box = (await boxes.wake(Lane.EVENT)).boxes[0]
    claim = await boxes.claim(Lane.EVENT, box)
    assert (claim.strikes, claim.state(claim.head).tried) == (0, 0)
    assert await boxes.counts() == {"waiting:event": 150}
