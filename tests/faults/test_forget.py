"""A person is erased while workers have their events in hand."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.sandbox.faults import FaultKind
from pipeline.storage.redis_client import open_async_redis
from tests.faults.support.world import World
from tests.support.commands import running, sailpipe, wait_until
from tests.support.everything import names_of

ANN, EMAIL, DEVICE = "user-ann-4711", "ann@forget.example", "device-ann-aa77"
BOB = "user-bob-0815"
SLOW_S = 1.5
"""How long a call is under way before it takes effect; HTTP_TIMEOUT is 2 s here."""
EVENTS = 40


def event(user: str, number: int, **more: Any) -> bytes:
    body = {
        "type": "track",
        "event": f"Seen {number}",
        "userId": user,
        "messageId": f"{user[5]}{number}",
    }
    return json.dumps(body | more).encode()


def identify(user: str, **more: Any) -> bytes:
    body = {"type": "identify", "userId": user, "messageId": f"{user[5]}i", **more}
    return json.dumps(body).encode()


def places(world: World) -> list[tuple[bytes, bytes]]:
    """Where Redis names the person."""

    async def find() -> list[tuple[bytes, bytes]]:
        async with open_async_redis(world.server.url) as client:
            return await names_of(client, ANN, EMAIL, DEVICE)

    return asyncio.run(find())


def taken(world: World, user: str, since: float = 0.0) -> int:
    """Calls about a person that took effect."""
    return sum(user in json.dumps(dict(one.params)) for one in world.effects if one.at >= since)


def forget(world: World, *words: str) -> subprocess.CompletedProcess[bytes]:
    environment = dict(world.environment)
    return sailpipe("forget", *words, "--yes", stdin=b"", **environment)


def begin(world: World) -> None:
    """Both are known; of each a call is under way, and much waits behind it."""
    traits = {"anonymousId": DEVICE, "traits": {"email": EMAIL}}
    world.crew.hire()
    world.crew.hire()
    world.send([identify(ANN, **traits), identify(BOB)])
    world.wait_settled()
    world.fault(FaultKind.LATENCY, endpoint="/event", seconds=SLOW_S)
    world.send([event(user, number) for number in range(EVENTS) for user in (ANN, BOB)])
    wait_until(lambda: len(world.claimed()) == 2, "both are claimed")


@pytest.mark.timeout(120)
def test_no_call_about_a_person_takes_effect_after_the_receipt(world: World) -> None:
    """Two workers deliver; the neighbour's events all arrive, once and in order, and the sum of all is what was accepted."""
    begin(world)
    done = forget(world, EMAIL, "--json")
    ended = time.time()  # noqa: TID251 - as the sandbox stamps what it took
    receipt = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (receipt["left"], receipt["ids"]) == (0, 3)
    assert receipt["removed"] > EVENTS / 2
    world.app.faults.clear()
    world.wait_settled()
    assert places(world) == []
    assert taken(world, ANN, ended) == 0
    seen = [
        one.params["event"]
        for one in world.effects
        if one.params.get("id") == BOB and "event" in one.params
    ]
    assert seen == [f"Seen {number}" for number in range(EVENTS)]
    counts = world.counts()
    assert (counts.total, counts.waiting) == (len(world.sent), 0)
    assert counts.removed + counts.delivered == len(world.sent)


@pytest.mark.timeout(120)
def test_an_erasure_that_is_killed_while_it_waits_is_ended_by_the_next(
    world: World, tmp_path: Path
) -> None:
    """By any id of the person, though who is who may have been forgotten."""
    begin(world)
    with running("forget", ANN, "--yes", directory=tmp_path, **world.environment) as first:
        first.wait_for("Waiting: a worker had events of this person in hand")
        assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    world.send([event(BOB, EVENTS)])
    done = forget(world, DEVICE, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ids"] == 3
    world.app.faults.clear()
    world.wait_settled()
    assert places(world) == []
    counts = world.counts()
    assert (counts.total, counts.waiting) == (len(world.sent), 0)
    assert taken(world, BOB) == EVENTS + 2


@pytest.mark.timeout(120)
def test_the_profile_that_was_deleted_at_sailthru_stays_deleted(world: World) -> None:
    """No worker makes it anew with an identify that it had in hand. The DELETE is a call within the limits."""
    begin(world)
    world.fault(FaultKind.LATENCY, endpoint="/user", seconds=SLOW_S)
    world.send([identify(ANN, traits={"email": EMAIL, "size": 40}, messageId="again")])
    wait_until(lambda: any(box[0] == "user" for box in world.claimed()), "the identify is claimed")
    done = forget(world, ANN, "--at-sailthru", "--json")
    assert done.returncode == 0, done.stderr
    assert "deleted" in json.loads(done.stdout)["sailthru"]
    deletions = [one for one in world.effects if one.method == "DELETE"]
    assert [one.params["id"] for one in deletions] == [EMAIL]
    world.app.faults.clear()
    world.wait_settled()
    assert taken(world, EMAIL, deletions[0].at) == 1
    assert taken(world, ANN, deletions[0].at) == 0
    assert places(world) == []
