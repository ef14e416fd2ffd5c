"""An import of tens of thousands of events, and what happens in the shop meanwhile."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline.producer import Producer
from pipeline.raw_entries import Labels
from pipeline.sandbox.options import SandboxOptions
from pipeline.storage.redis_client import open_redis
from tests.faults.support.account import ACCOUNT
from tests.faults.support.verdict import Verdict, doubled_orders, out_of_order, repeated
from tests.faults.support.world import World
from tests.support.commands import wait_until

BULK = 30_000
WITHIN_S = 3.0
RATE = 40
"""Calls/s of this lane at Sailthru: the import would keep it busy for twelve minutes."""


def track(who: str, seq: int) -> bytes:
    body = {"type": "track", "event": "Registered", "userId": who, "messageId": f"{who}-{seq}"}
    return json.dumps({**body, "properties": {"who": who, "seq": seq}}).encode()


def add(world: World, raws: list[bytes], *, bulk: bool) -> None:
    """Over a connection of its own: an import goes on meanwhile."""
    with open_redis(world.server.url) as client:
        Producer(client).send_many(raws, Labels(ACCOUNT, bulk=bulk))


def deliver_live(world: World, who: str) -> None:
    """Send one live event, and see it go out in time."""
    world.began()
    add(world, [track(who, 0)], bulk=False)
    wait_until(
        lambda: any(one.origin and one.origin.who == who for one in world.effects),
        "the live event goes out",
        WITHIN_S,
    )
    world.recovered()


@pytest.mark.timeout(200)
@pytest.mark.parametrize("each", [1, 10])
def test_a_live_event_behind_30_000_bulk_ones_goes_out_within_three_seconds(
    open_world: Any, each: int
) -> None:
    """While they are imported and while they wait, whether each user has one of them or ten."""
    imported = [track(f"old{n}", seq) for seq in range(each) for n in range(BULK // each)]
    options = SandboxOptions(unknown_user_on_event=False, latency_s=0.05)
    with (
        open_world(options=options, LIMITS=f"POST /event={RATE}") as world,
        ThreadPoolExecutor(1) as pool,
    ):
        worker = world.crew.hire()
        importing = pool.submit(add, world, imported, bulk=True)
        wait_until(lambda: world.calls_seen() > RATE, "bulk ones go out", 60)
        deliver_live(world, "live0")
        importing.result(120)
        world.wait_split()
        for number in range(1, 4):
            deliver_live(world, f"live{number}")
        worker.stop()
        report(world, f"an import of {BULK}, {each} a user", len(imported) + 4)


def report(world: World, fault: str, sent: int) -> None:
    """Add a line, though most of it still waits. The recovery is the slowest live event's."""
    counts = world.counts()
    verdict = Verdict(
        fault=fault,
        events=sent,
        counts=counts,
        lost=abs(sent - counts.total),
        doubled_orders=doubled_orders(world.effects),
        out_of_order=len(out_of_order(world.effects, may_repeat=False)),
        repeated=repeated(world.effects),
        recovery_s=world.recovered_s,
    )
    world.report(verdict)
    assert (verdict.lost, verdict.out_of_order, verdict.repeated) == (0, 0, 0), verdict
