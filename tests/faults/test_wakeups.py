"""Wake-ups that get lost, come twice or mean nothing, lanes that no process serves."""

from __future__ import annotations

import base64
import json
import signal
import time

import pytest

from pipeline.delivery.capacity import MESSAGE_BOXES, QUEUE_MESSAGES
from pipeline.events.models import Lane
from pipeline.storage import keys
from tests.faults.support.traffic import traffic
from tests.faults.support.world import World
from tests.support.commands import wait_until

FOREIGN = (b"\x80not JSON", b"[]", b"{}")
UNSERVED_LEASES = 3


def queue_lengths(world: World) -> dict[str, int]:
    """How many wake-ups lie in each lane's Celery queue."""
    return {str(lane): int(world.client.llen(keys.celery_queue(lane))) for lane in Lane}


@pytest.mark.timeout(200)
def test_an_unserved_lane_keeps_its_queue_short_and_loses_nothing(world: World) -> None:
    """A few wake-ups lie in Celery's queue, however much waits; the other lanes go on."""
    world.crew.hire(lanes=("user", "purchase", "page"))
    users = 400
    raws = traffic(800, users, seed=30)
    world.send(raws)
    events = sum(b'"Played"' in raw for raw in dict.fromkeys(raws))
    wait_until(lambda: world.counts().waiting == events, "all other lanes are through", 60)
    time.sleep(
        UNSERVED_LEASES * world.settings.lease
    )  # each lease that runs out may be leased again
    assert queue_lengths(world)["event"] <= QUEUE_MESSAGES + users // MESSAGE_BOXES
    world.began()
    world.crew.hire(lanes=("event",), splitter=False)
    world.wait_settled()
    world.recovered()
    world.judge("an unserved lane", may_repeat=False)


@pytest.mark.timeout(200)
def test_lost_and_doubled_wake_ups_do_no_harm(world: World) -> None:
    """A lost one is made up for when the lease runs out; of a doubled one the second finds nothing."""
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


def wake_up_of(message: bytes, boxes: list[str]) -> str:
    """The same Celery message, about other mailboxes."""
    envelope = json.loads(message)
    (account, lane, _), *rest = json.loads(base64.b64decode(envelope["body"]))
    body = json.dumps([[account, lane, boxes], *rest]).encode()
    return json.dumps({**envelope, "body": base64.b64encode(body).decode()})


@pytest.mark.timeout(200)
def test_wake_ups_that_a_full_redis_holds_cost_a_lease_at_most(world: World) -> None:
    """Celery takes them from it as from any other, since it keeps no copy of what it takes."""
    worker = world.crew.hire(splitter=False)
    wait_until(lambda: "ready" in worker.log, "the consumer waits for wake-ups")
    worker.send(signal.SIGSTOP)
    world.crew.hire(lanes=("page",))
    world.send(traffic(300, 100, seed=33))
    wait_until(lambda: queue_lengths(world)["event"], "wake-ups lie")
    world.client.config_set("maxmemory", 1)
    world.began()
    worker.send(signal.SIGCONT)
    world.wait_settled()
    world.recovered()
    assert not any(queue_lengths(world).values())
    world.client.config_set("maxmemory", 0)
    world.judge("wake-ups in a full Redis", may_repeat=False)
    assert [one.starts for one in world.crew.workers] == [1, 1]


@pytest.mark.timeout(200)
def test_wake_ups_for_empty_mailboxes_and_foreign_messages_do_no_harm(world: World) -> None:
    """What names nothing that is leased finds nothing to own; what is no message ends its worker at most
    once, and what that worker held is taken up like a dead one's."""
    world.crew.hire(lanes=("page",))
    raws = [raw for raw in traffic(300, 60, seed=33) if b'"page"' not in raw]
    world.send(raws)
    queue = keys.celery_queue("event")
    wait_until(lambda: world.client.lindex(queue, 0), "a wake-up lies there")
    empty = wake_up_of(world.client.lindex(queue, 0), ["u1", "u-empty", ""])
    world.client.rpush(queue, empty, *FOREIGN, empty)
    world.began()
    reader = world.crew.hire()
    world.wait_settled()
    world.recovered()
    assert reader.starts <= 1 + len(FOREIGN)
    world.judge("wake-ups for empty mailboxes, foreign messages", may_repeat=False)
