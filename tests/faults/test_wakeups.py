"""Wake-ups that get lost or come twice, lanes nobody serves."""

from __future__ import annotations

import pytest

from pipeline import keys
from pipeline.events import Lane
from pipeline.mailbox.lanes import BUCKETS
from tests.support.commands import wait_until
from tests.support.faults_traffic import traffic
from tests.support.faults_world import World
from workers.waker import LONGEST_QUEUE


def queue_lengths(world: World) -> dict[str, int]:
    """How many wake-ups lie in each lane's Celery queue."""
    return {str(lane): int(world.client.llen(keys.celery_queue(lane))) for lane in Lane}


@pytest.mark.timeout(200)
def test_a_lane_that_nobody_serves_keeps_its_queue_short_and_loses_nothing(world: World) -> None:
    """A few wake-ups lie in Celery's queue, however much waits; the other lanes go on."""
    world.crew.hire(lanes=("user", "purchase", "page"))
    raws = traffic(800, 400, seed=30)
    world.send(raws)
    events = sum(b'"Played"' in raw for raw in dict.fromkeys(raws))
    wait_until(lambda: world.counts().waiting == events, "all other lanes are through", 60)
    assert queue_lengths(world)["event"] <= LONGEST_QUEUE + 1
    world.began()
    world.crew.hire(lanes=("event",), splitter=False)
    world.wait_settled()
    world.recovered()
    world.judge("a lane nobody serves", may_repeat=False)
    assert set(BUCKETS) == set(Lane)


@pytest.mark.timeout(200)
def test_lost_and_doubled_wake_ups_do_no_harm(world: World) -> None:
    """A lost one is made up for when the loan runs out; of a doubled one the second finds nothing."""
    only_splits = world.crew.hire(lanes=("page",))
    raws = traffic(300, 60, seed=31)
    world.send([raw for raw in raws if b'"page"' not in raw])
    wait_until(lambda: all(queue_lengths(world)[one] for one in ("user", "event")), "wake-ups lie")
    lost = world.client.delete(keys.celery_queue("user"))
    doubled = world.client.lrange(keys.celery_queue("event"), 0, -1)
    world.client.lpush(keys.celery_queue("event"), *doubled)
    assert lost
    assert doubled
    world.began()
    world.crew.hire()
    world.wait_settled()
    world.recovered()
    assert only_splits.alive
    world.judge("wake-ups lost and doubled", may_repeat=False)
