"""A Redis without memory to give: everything that frees some goes on, nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import redis.asyncio
import redis.exceptions

from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.gates.brake import USERS, Brake
from pipeline.gates.gates import Closure
from pipeline.mailbox.claim import Settlement
from pipeline.outcomes import Rejected
from pipeline.storage import keys
from pipeline.storage.numbers import POISON_AFTER
from tests.support.mailboxes import LEASE_S, Mailboxes, delivered, letter, order, track


@asynccontextmanager
async def no_memory(client: redis.asyncio.Redis) -> AsyncIterator[None]:
    await client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        await client.config_set("maxmemory", "0")


@pytest.fixture
async def boxes(redis_url: str) -> AsyncIterator[Mailboxes]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield Mailboxes(client)


async def test_delivery_goes_on_without_memory(boxes: Mailboxes) -> None:
    """Wake, claim, renew and every kind of settle pass: they begin with a write that frees."""
    await boxes.post(*(track(f"m{n}", "ann") for n in range(4)), track("m9", "bob"))
    async with no_memory(boxes.redis):
        await boxes.die(Lane.EVENT, "bob")
        claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
        assert await boxes.store.renew([claim]) == []
        claim = await boxes.settle(delivered(claim))
        claim = await boxes.settle(letter(claim))
        await boxes.store.settle(Settlement(claim, back=True, due="old"))
        await boxes.moves.replay(["m1"])
        assert await boxes.mail(Lane.EVENT, "ann") == ["m2", "m3", "m1"]
        boxes.clock.advance(LEASE_S + 1)
        assert set((await boxes.wake(Lane.EVENT)).boxes) == {"ann", "bob"}


async def test_a_full_redis_leases_a_lane_only_to_a_process_that_serves_it(
    boxes: Mailboxes,
) -> None:
    """No message can be published, so others' leases would run out undelivered; and however long the
    lane's queue is, nothing is added to it."""
    await boxes.post(track("m1", "ann"))
    wake = partial(boxes.store.wake, Lane.EVENT, bound=9, max_queue_length=0, own_tick=0)
    assert not (await wake(serves=True)).boxes
    async with no_memory(boxes.redis):
        others = await wake(serves=False)
        assert (others.in_process, others.boxes) == ("full", ())
        served = await wake(serves=True)
        assert (served.in_process, served.boxes) == ("full", ("ann",))


async def test_an_intent_is_recorded_without_memory(boxes: Mailboxes) -> None:
    """Carts and orders must leave a full Redis, too, and none may be posted that is not on record.
    What intents take is small: one for each lease, until it is settled."""
    await boxes.post(order("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    async with no_memory(boxes.redis):
        await boxes.store.record_intent(claim, "{}")
        await boxes.store.settle(Settlement(claim, back=True))
        assert (await boxes.lease_and_claim(Lane.PURCHASE, "ann")).intent == "{}"


async def test_gates_close_and_open_without_memory(boxes: Mailboxes) -> None:
    """An outage that meets a full Redis uses up no attempt either."""
    closure = Closure("api", "circuit", 0, boxes.now_ms())
    async with no_memory(boxes.redis):
        assert await boxes.gates.close(closure)
        assert not await boxes.gates.close(closure)
        assert await boxes.gates.closures(["api"], boxes.now_ms()) == [closure]
        assert await boxes.gates.open("api", "circuit")


async def test_mass_dying_brakes_its_lane_without_memory(boxes: Mailboxes) -> None:
    """A backlog that fills Redis is not buried by a bug because of that."""
    brake = Brake(boxes.redis, boxes.gates)
    await boxes.post(*(track(f"m{n}", f"u{n}") for n in range(USERS)))
    async with no_memory(boxes.redis):
        for user in (await boxes.wake(Lane.EVENT)).boxes:
            claim = await boxes.claim(Lane.EVENT, user)
            died = Rejected(Reason.CRASHED, "a bug")
            await brake.record(died, claim, boxes.now_ms())
    [closure] = await boxes.gates.closures(["event"], boxes.now_ms())
    assert closure.reason == "brake"


async def test_the_raw_stream_is_emptied_without_memory(boxes: Mailboxes) -> None:
    """The splitter gets its lease and moves what was accepted: else nothing would ever free memory."""
    await boxes.accept(track("m1", "ann"), {"type": "nonsense"})
    async with no_memory(boxes.redis):
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            await boxes.accept(track("m2", "ann"))
        assert await boxes.split() == 2
    assert await boxes.counts() == {"waiting:event": 1, "dead:invalid_event": 1}
    assert await boxes.backlog() == 0


async def test_poison_is_buried_without_memory(boxes: Mailboxes) -> None:
    """Deaths of splitters are counted, and the entry that has five leaves the raw stream."""
    sid = await boxes.accept_raw({"event": b"x" * 10_000})
    async with no_memory(boxes.redis):
        for number in range(POISON_AFTER):
            assert await boxes.make_splitter(f"dies {number}").hold_lease()
            await boxes.redis.delete(keys.SPLITTER)
        assert await boxes.split() == 1
    assert {name: one["reason"] for name, one in (await boxes.dead()).items()} == {sid: "poison"}
