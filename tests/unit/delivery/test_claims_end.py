"""How a claim ends: soon, by its lease, in a crash, or while Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import redis.asyncio
import redis.exceptions

from pipeline.errors import StaleClaim
from pipeline.events.models import Lane
from pipeline.mailbox.claim import Settlement
from pipeline.mailbox.store import MAX_WORK, MailboxStore, encode_settlement
from pipeline.sailthru.answers import Answer, Failed, Failure
from pipeline.sailthru.calls import Call
from pipeline.storage.numbers import POISON_AFTER
from tests.support.fake_sailthru import REFUSED
from tests.support.pipe import Pipe, added, identify, open_pipe, order, track


async def lease_next(pipe: Pipe, lane: Lane) -> str:
    """Lease the one mailbox that is due."""
    (box,) = await pipe.lease(lane)
    return box


async def test_a_claim_ends_after_a_handful_of_calls(pipe: Pipe) -> None:
    """A user with very many events keeps no other user waiting."""
    await pipe.post(*(order("u1", f"o{number}") for number in range(30)))
    await pipe.processor.process(Lane.PURCHASE, await lease_next(pipe, Lane.PURCHASE))
    assert 1 < len(pipe.sailthru.sent) <= 6
    await pipe.run(60)
    assert await pipe.counts() == {"delivered": 30}


async def test_a_claim_ends_after_a_second(pipe: Pipe) -> None:
    """A call that would begin after a second is left to another claim, however slow Sailthru is."""
    pipe.sailthru.latency_s = 0.6
    await pipe.post(*(order("u1", f"o{number}") for number in range(10)))
    await pipe.processor.process(Lane.PURCHASE, await lease_next(pipe, Lane.PURCHASE))
    assert len(pipe.sailthru.sent) == 2


async def test_a_claim_whose_fold_was_refused_goes_on_to_the_first_of_it(pipe: Pipe) -> None:
    """The next claim would fold again, and so would the one after it; so this one goes on, however slow Sailthru is."""
    pipe.sailthru.latency_s = 1.2
    pipe.sailthru.trouble(REFUSED, on="POST /user", about="odd")
    odd = identify("u1", traits={"email": "u1@example.org", "name": "odd"})
    await pipe.post(identify("u1"), odd, identify("u1"))
    await pipe.processor.process(Lane.USER, await lease_next(pipe, Lane.USER))
    assert await pipe.waiting(Lane.USER, "u1") == ["m2", "m3"]
    await pipe.run(60)
    assert [letter.id for letter in await pipe.letters()] == ["m2"]


async def test_no_call_begins_under_a_lease_that_could_expire_before_its_answer(
    pipe: Pipe,
) -> None:
    """HTTP timeout and a second must be left of it."""
    await pipe.post(identify("u1"))
    claim = await pipe.store.claim(Lane.USER, await lease_next(pipe, Lane.USER), most=1)
    assert claim is not None
    with pipe.leases.hold(claim, pipe.clock.monotonic()) as lease:
        pipe.clock.advance(2.9)
        assert pipe.leases.is_fresh(lease, 9.0)
        pipe.clock.advance(0.2)
        assert not pipe.leases.is_fresh(lease, 9.0)
        lease.extend(pipe.clock.monotonic() + 12.0)
        assert pipe.leases.is_fresh(lease, 9.0)
        lease.lose()
        with pytest.raises(StaleClaim):
            pipe.leases.is_fresh(lease, 9.0)


async def test_a_slot_that_comes_too_late_for_its_lease_is_given_up_for_another(
    pipe: Pipe,
) -> None:
    """The lease is looked at last; the call waits for a renewal and for a slot of its own."""
    acquire, slots = pipe.limiter.acquire, []

    def renew() -> None:
        for lease in pipe.leases.held:
            lease.extend(pipe.clock.monotonic() + 12.0)

    async def slow(*args: Any, **options: Any) -> None:
        await acquire(*args, **options)
        slots.append(len(pipe.sailthru.sent))
        if len(slots) == 1:
            pipe.clock.advance(4.0)
            asyncio.get_running_loop().call_soon(renew)

    await pipe.post(identify("u1"))
    with patch.object(pipe.limiter, "acquire", slow):
        await pipe.processor.process(Lane.USER, await lease_next(pipe, Lane.USER))
    assert slots == [0, 0]
    assert await pipe.counts() == {"delivered": 1}


async def test_the_first_byte_of_a_call_asks_for_the_lease_once_more(pipe: Pipe) -> None:
    """A process may stand still between its checks and the socket: then the mailbox is another's."""
    send, answers = pipe.sailthru.send, []

    async def slow(call: Call, is_over: Callable[[], bool]) -> Answer:
        answers.append(is_over())
        pipe.clock.advance(4.1)
        answers.append(is_over())
        return await send(call, is_over)

    await pipe.post(identify("u1"))
    with patch.object(pipe.sailthru, "send", slow):
        await pipe.processor.process(Lane.USER, await lease_next(pipe, Lane.USER))
    assert answers == [False, True]


async def test_a_lease_lost_in_the_middle_of_a_call_writes_nothing(pipe: Pipe) -> None:
    """The new owner's word counts; the old one's settle is refused."""
    await pipe.post(identify("u1"))
    box = await lease_next(pipe, Lane.USER)
    send = pipe.sailthru.send

    async def freeze(call: Call, is_over: Callable[[], bool]) -> Answer:
        answer = await send(call, is_over)
        pipe.clock.advance(13)
        await pipe.lease(Lane.USER)
        pipe.clock.advance(13)
        assert await pipe.lease(Lane.USER) == ("u1",)
        new = await pipe.store.claim(Lane.USER, "u1", most=10)
        assert new is not None
        return answer

    with patch.object(pipe.sailthru, "send", freeze):
        await pipe.processor.process(Lane.USER, box)
    assert await pipe.waiting(Lane.USER, "u1") == ["m1"]
    assert await pipe.counts() == {"waiting:user": 1}


async def test_redis_away_during_settle_is_waited_out_and_nothing_is_sent_twice(
    pipe: Pipe,
) -> None:
    """The settle is repeated, not the call."""
    failures = [redis.exceptions.ConnectionError("gone")] * 5
    settle = MailboxStore.settle

    async def flaky(store: MailboxStore, settlement: Settlement) -> int:
        if failures:
            raise failures.pop()
        return await settle(store, settlement)

    await pipe.post(order("u1", "o1"))
    with patch.object(MailboxStore, "settle", flaky):
        await pipe.run(10)
    assert await pipe.counts() == {"delivered": 1}
    assert len(pipe.sailthru.calls("POST /purchase")) == 1


async def test_a_settle_whose_answer_was_lost_is_not_made_twice(pipe: Pipe) -> None:
    """It was written: the repetition finds that out."""
    settle, lost = MailboxStore.settle, [True]

    async def deaf(store: MailboxStore, settlement: Settlement) -> int:
        if lost and lost.pop():
            await store._scripts.run("settle", [store._prefix], _args(store, settlement))
            raise redis.exceptions.TimeoutError
        return await settle(store, settlement)

    await pipe.post(order("u1", "o1"), order("u1", "o2"))
    with patch.object(MailboxStore, "settle", deaf):
        await pipe.run(10)
    assert await pipe.counts() == {"delivered": 2}
    assert len(pipe.sailthru.calls("POST /purchase")) == 2


def _args(store: MailboxStore, settlement: Settlement) -> list[Any]:
    claim, text = settlement.claim, encode_settlement(settlement)
    shared = [MAX_WORK, 1000]
    return [store._now(), *shared, claim.lane, claim.user, claim.token, claim.step, text]


async def test_a_settle_that_fails_over_its_own_content_is_a_strike_and_its_event_ends_as_poison(
    redis_url: str,
) -> None:
    """Not taken for a Redis that is away: it is made once a claim, and takes no other event along."""
    settle = MailboxStore.settle
    refused: list[str] = []

    async def note(store: MailboxStore, settlement: Settlement) -> int:
        token = settlement.claim.token
        refused.extend(token for _, _, header in settlement.dead if "ud83d" in header)
        return await settle(store, settlement)

    unreadable = Failed(Failure.REJECTED, 400, 99, "half a surrogate pair: \ud83d")
    async with open_pipe(client=redis.asyncio.Redis.from_url(redis_url)) as pipe:
        pipe.sailthru.trouble(unreadable, on="POST /purchase", about="o1")
        await pipe.post(order("u1", "o1"), order("u1", "o2"))
        with patch.object(MailboxStore, "settle", note):
            await pipe.run(300)
        assert len(refused) == len(set(refused)) == pipe.unsettled == POISON_AFTER
        assert [(one.id, one.header.reason) for one in await pipe.letters()] == [("m1", "poison")]
        assert await pipe.counts() == {"delivered": 1, "dead:poison": 1}


async def test_redis_away_while_a_gate_is_written_loses_no_answer(pipe: Pipe) -> None:
    """An order that a probe delivered is delivered, whatever becomes of the gate."""
    gone = redis.exceptions.ConnectionError("gone")
    await pipe.post(order("u1", "o1"))
    with (
        patch.object(pipe.gates, "open", side_effect=gone),
        patch.object(pipe.gates, "closures", side_effect=gone),
    ):
        claim = await pipe.store.claim(
            Lane.PURCHASE, await lease_next(pipe, Lane.PURCHASE), most=10
        )
        assert claim is not None
        probe = replace(claim, probe=True)
        with patch.object(pipe.store, "claim", return_value=probe):
            await pipe.processor.process(Lane.PURCHASE, "u1")
    await pipe.run(60)
    assert len(pipe.sailthru.calls("POST /purchase")) == 1
    assert await pipe.counts() == {"delivered": 1}


@pytest.mark.parametrize(
    "error", [redis.exceptions.OutOfMemoryError("full"), redis.exceptions.ConnectionError("gone")]
)
async def test_without_its_intent_on_record_no_order_or_cart_leaves(
    pipe: Pipe, error: Exception
) -> None:
    """Redis full or away: the mailbox goes back and is tried again in a moment."""
    await pipe.post(order("u1", "o1"), added("u2"))
    with patch.object(pipe.store, "record_intent", side_effect=error):
        await pipe.run(10)
    assert pipe.sailthru.calls("POST /purchase") == []
    await pipe.run(10)
    assert await pipe.counts() == {"delivered": 2}


async def test_an_event_whose_deliveries_kill_their_worker_is_poison_and_takes_no_other_with_it(
    pipe: Pipe,
) -> None:
    """After two deaths events are leased one at a time, after five the one at fault is dead."""
    pipe.sailthru.trouble(None, on="POST /event", about="deadly")
    await pipe.post(identify("u1"))
    await pipe.run(1)
    await pipe.post(track("u1", "Before"), track("u1", "deadly"), track("u1", "After"))
    await pipe.run(600)
    (letter,) = await pipe.letters()
    assert (letter.id, letter.header.reason) == ("m3", "poison")
    assert pipe.kills == 5
    assert [one["event"] for one in pipe.sailthru.sandbox.state.events] == ["Before", "After"]


async def test_a_mailbox_that_is_not_leased_is_left_alone(pipe: Pipe) -> None:
    """A wake-up that was lost and came late, or came twice, is harmless."""
    await pipe.post(identify("u1"))
    await pipe.processor.process(Lane.USER, "u1")
    await pipe.processor.process(Lane.USER, "never-leased")
    assert pipe.sailthru.sent == []


@pytest.mark.parametrize("victim", range(6))
async def test_a_worker_killed_at_any_call_loses_and_doubles_nothing(
    pipe: Pipe, victim: int
) -> None:
    """Whichever call it was, and whether Sailthru had carried it out."""
    send, calls = pipe.sailthru.send, [0]

    async def deadly(call: Call, is_over: Callable[[], bool]) -> Answer:
        calls[0] += 1
        if calls[0] == victim + 1:
            pipe.sailthru.trouble(None, processed=bool(victim % 2), times=1)
        return await send(call, is_over)

    with patch.object(pipe.sailthru, "send", deadly):
        await pipe.post(identify("u1"), added("u1", "p1"), order("u1", "o1"), added("u1", "p2"))
        await pipe.run(600)
    assert await pipe.counts() == {"delivered": 4}
    assert [one.extid for one in pipe.sailthru.sandbox.state.purchases] == ["o1"]
    items = pipe.sailthru.calls("POST /purchase")[-1].params["items"]
    assert [(item["id"], item["qty"]) for item in items] == [("p2", 1)]
