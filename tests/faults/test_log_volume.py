"""The log of real workers stays readable under every fault, however many events it hits."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable

import pytest

from pipeline.observe.budget import LINES
from pipeline.sandbox.faults import FaultKind
from tests.faults.support.traffic import traffic
from tests.faults.support.world import World
from tests.support.commands import wait_until

EVENTS = 600
FEW = 150
"""Lines of a worker, start and stop included."""
GONE_S = 8.0


def of_orders_without_products(world: World) -> None:
    """Each dies by itself."""
    bad = {"type": "track", "event": "Order Completed"}
    world.send(
        [
            json.dumps(
                bad
                | {"userId": f"u{n}", "messageId": f"m{n}"}
                | {
                    "properties": {
                        "order_id": f"o{n}",
                        "products": [],
                        "email": f"u{n}@shop.example",
                    }
                }
            ).encode()
            for n in range(EVENTS)
        ]
    )
    wait_until(lambda: len(world.dead()) == EVENTS, "all have died")


def of_an_outage(world: World) -> None:
    """Sailthru answers nothing but 503."""
    world.fault(FaultKind.SERVER_ERROR, status=503)
    world.send(traffic(EVENTS, 200, seed=8))
    world.wait_for_calls(60)
    time.sleep(GONE_S)  # probes fail, and more events with them


def of_redis_that_is_gone(world: World) -> None:
    """In the middle of deliveries, for longer than a lease."""
    world.fault(FaultKind.LATENCY, seconds=0.3, processed=True)
    world.send(traffic(EVENTS, 200, seed=9))
    world.wait_for_calls(40)
    world.server.kill()
    time.sleep(GONE_S)
    world.server.start()
    wait_until(lambda: any("redis_back" in one.log for one in world.crew.workers), "it is back")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", [of_orders_without_products, of_an_outage, of_redis_that_is_gone])
def test_a_worker_logs_few_lines_of_a_kind_and_no_address(
    world: World, fault: Callable[[World], None]
) -> None:
    """Both processes of the crew together; an event that is named is named by its messageId."""
    worker = world.crew.hire()
    fault(world)
    worker.stop()
    lines = worker.log.splitlines()
    kinds = Counter(found[1] for line in lines if (found := re.search(r" event=(\w+)", line)))
    assert 0 < len(lines) <= FEW, kinds.most_common(5)
    assert max(kinds.values()) <= 2 * LINES, kinds.most_common(5)
    assert not re.search(r"@(shop\.example|example\.com)", worker.log)
