"""One cause that kills most of a lane stops the lane; floods of what is wrong by itself do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.events.models import Lane
from pipeline.gates.brake import USERS
from pipeline.sandbox.faults import FaultKind
from tests.faults.conftest import Open
from tests.faults.support.traffic import product
from tests.faults.support.world import World
from tests.support.commands import sailpipe, wait_until

SHOPPERS = 300
NO_SUCH_TEMPLATE = 14
"""Sailthru's error code (reference: sailthru-api 4)."""


def of_everyone(body: Callable[[str], dict[str, Any]]) -> list[bytes]:
    """One event of every shopper, each of whom was identified first."""
    return [
        json.dumps({"userId": who, "messageId": f"{kind}-{who}", **fields}).encode()
        for who in (f"b{number}" for number in range(SHOPPERS))
        for kind, fields in (("identify", identify(who)), ("event", body(who)))
    ]


def identify(who: str) -> dict[str, Any]:
    traits = {"email": f"{who}@example.com", "who": who, "seq": 1}
    return {"type": "identify", "traits": traits}


def played(who: str) -> dict[str, Any]:
    return {"type": "track", "event": "Played", "properties": {"who": who, "seq": 2}}


def ordered(who: str) -> dict[str, Any]:
    bought = {"order_id": f"o-{who}-2", "products": [product(1)]}
    return {"type": "track", "event": "Order Completed", "properties": bought}


def resume_and_replay(world: World, lane: Lane, reason: str) -> None:
    """As a person does once the cause is gone."""
    for words in (
        ["resume", "--lane", str(lane)],
        ["dead", "replay", "--reason", reason, "--yes"],
    ):
        done = sailpipe(*words, SAILPIPE_REDIS_URL=world.server.url)
        assert done.returncode == 0, done.stderr


def deaths_until_braked(world: World, lane: Lane, reason: str) -> int:
    """How many of the lane's events died before it stood still; the other lanes are through."""
    wait_until(lambda: braked(world) == {str(lane)}, "the brake stops the lane")
    wait_until(lambda: world.counts().delivered == SHOPPERS, "all identifies are through")
    world.wait_until_quiet()
    assert set(world.dead().values()) == {reason}
    dead = world.counts().dead
    assert USERS <= dead < SHOPPERS - USERS
    return dead


def braked(world: World) -> set[str]:
    """Lanes that the brake has stopped."""
    return {str(lane) for lane in Lane if "brake" in world.gates(str(lane))}


@pytest.fixture
def world(open_world: Open) -> Iterator[World]:
    """With Sailthru's own limits: what is under way when a lane stops is a third of a second's calls."""
    with open_world(LIMITS="") as opened:
        yield opened


@pytest.mark.timeout(200)
def test_a_mapping_bug_stops_its_lane_and_what_died_is_one_replay(
    world: World, tmp_path: Path
) -> None:
    """Most of the stream is not buried; other lanes go on; after the fix everything is delivered."""
    bug = tmp_path / "bug"
    bug.touch()
    for _ in range(2):
        world.crew.hire(app="tests.faults.support.buggy_worker", FAULTS_BUG=str(bug))
    world.send(of_everyone(played))
    dead = deaths_until_braked(world, Lane.EVENT, "crashed")
    bug.unlink()
    world.began()
    resume_and_replay(world, Lane.EVENT, "crashed")
    world.wait_settled()
    world.recovered()
    world.judge(f"mapping bug, braked after {dead} deaths", may_repeat=False)


@pytest.mark.timeout(200)
def test_a_removed_template_stops_the_orders_and_what_died_is_one_replay(world: World) -> None:
    """Sailthru refuses every order alike: that is the account's doing, not the orders'."""
    for _ in range(2):
        world.crew.hire()
    world.fault(FaultKind.ERROR_IN_200, endpoint="/purchase", code=NO_SUCH_TEMPLATE)
    world.send(of_everyone(ordered))
    dead = deaths_until_braked(world, Lane.PURCHASE, "rejected")
    world.app.faults.clear()
    world.began()
    resume_and_replay(world, Lane.PURCHASE, "rejected")
    world.wait_settled()
    world.recovered()
    world.judge(f"template removed, braked after {dead} deaths", may_repeat=False)


@pytest.mark.timeout(200)
def test_a_flood_of_events_without_user_id_stops_no_lane(world: World) -> None:
    """They are dead letters, and everybody else's events are delivered."""
    world.crew.hire()
    flood = [
        json.dumps({"type": "track", "event": "Played", "messageId": f"flood-{number}"}).encode()
        for number in range(10 * SHOPPERS)
    ]
    world.send([*flood, *of_everyone(played)])
    world.wait_settled()
    assert braked(world) == set()
    world.judge("flood of events without userId", may_repeat=False)
