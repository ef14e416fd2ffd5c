"""One owner at a time, and what a stale one may not do."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import redis.asyncio
import redis.exceptions

from pipeline.errors import StaleClaim
from pipeline.events.models import Lane
from pipeline.mailbox.claim import Settlement
from tests.support.mailboxes import (
    LEASE_S,
    Mailboxes,
    delivered,
    identify,
    letter,
    order,
    track,
    tried_again,
)


async def test_a_doubled_wake_up_finds_nothing_to_own(boxes: Mailboxes) -> None:
    """I3: Celery may deliver a wake-up twice; the second finds an owner, or nothing leased."""
    await boxes.post(track("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    assert await boxes.store.claim(Lane.EVENT, "ann", most=40) is None
    await boxes.store.settle(delivered(claim, back=True))
    assert await boxes.store.claim(Lane.EVENT, "ann", most=40) is None


async def test_a_stale_owner_can_write_nothing(boxes: Mailboxes) -> None:
    """I3: what an owner writes after its lease went to another is refused, and changes nothing."""
    await boxes.post(order("m1", "ann"))
    stale = await boxes.die(Lane.PURCHASE, "ann")
    owner = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    with pytest.raises(StaleClaim):
        await boxes.store.record_intent(stale, "{}")
    with pytest.raises(StaleClaim):
        await boxes.store.settle(delivered(stale, back=True))
    assert await boxes.store.renew([owner, stale]) == [stale]
    assert await boxes.counts() == {"waiting:purchase": 1}
    assert await boxes.store.settle(delivered(owner, back=True)) == 0
    assert await boxes.counts() == {"delivered": 1}


async def test_tokens_differ_even_if_redis_forgot_that_it_gave_one(boxes: Mailboxes) -> None:
    """I3: an append-only file may lose its last second, and with it a claim and the counter."""
    await boxes.post(track("m1", "ann"))
    await boxes.wake(Lane.EVENT)
    counter, state = "sailpipe:default:token", "sailpipe:default:state:event:ann"
    saved = {key: await boxes.redis.dump(key) for key in (counter, state)}
    lost = await boxes.claim(Lane.EVENT, "ann")
    boxes.clock.advance(1.0)
    for key, value in saved.items():
        await boxes.redis.delete(key)
        if value is not None:
            await boxes.redis.restore(key, 0, value)
    owner = await boxes.claim(Lane.EVENT, "ann")
    with pytest.raises(StaleClaim):
        await boxes.store.settle(delivered(lost, back=True))
    assert await boxes.store.settle(delivered(owner, back=True)) == 0


async def test_renewed_leases_do_not_expire(boxes: Mailboxes) -> None:
    """A living owner keeps its mailbox however long its calls take."""
    await boxes.post(track("m1", "ann"), track("m2", "bob"))
    await boxes.wake(Lane.EVENT)
    claims = [await boxes.claim(Lane.EVENT, box) for box in ("ann", "bob")]
    for _ in range(5):
        boxes.clock.advance(LEASE_S - 1)
        assert await boxes.store.renew(claims) == []
        assert (await boxes.wake(Lane.EVENT)).boxes == ()
    assert await boxes.leased(Lane.EVENT) == {"ann": 12_000, "bob": 12_000}


async def test_a_repeated_settle_counts_once(boxes: Mailboxes) -> None:
    """A settle whose answer was lost is sent again, and is known again."""
    await boxes.post(*(track(f"m{n}", "ann") for n in range(3)))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    assert await boxes.store.settle(delivered(claim)) == 2
    assert await boxes.store.settle(Settlement(claim, pop=0, count={"delivered": 1})) == 2
    assert await boxes.counts() == {"delivered": 1, "waiting:event": 2}


async def test_a_settle_after_a_lost_intent_is_no_repetition(boxes: Mailboxes) -> None:
    """An intent that was written though its answer was lost does not swallow the next settle."""
    await boxes.post(order("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    await boxes.store.record_intent(claim, '{"kind":"order"}')
    assert (claim.step, claim.intent) == (0, "")
    await boxes.store.settle(Settlement(claim, back=True))
    assert (await boxes.lease_and_claim(Lane.PURCHASE, "ann")).intent == '{"kind":"order"}'


async def test_an_unsettled_intent_reaches_the_next_owner(boxes: Mailboxes) -> None:
    """The owner after a death knows what may have been posted; settling forgets it."""
    await boxes.post(order("m1", "ann"), order("m2", "ann"))
    first = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    await boxes.store.record_intent(first, "intent 1")
    boxes.clock.advance(LEASE_S + 1)
    second = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    assert second.intent == "intent 1"
    await boxes.store.settle(delivered(second, back=True))
    assert (await boxes.lease_and_claim(Lane.PURCHASE, "ann")).intent == ""


async def test_each_replayed_order_brings_its_own_intent(boxes: Mailboxes) -> None:
    """Two orders that may have been posted are both looked up, also when one claim has both."""
    await boxes.post(order("m1", "ann"), order("m2", "ann"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    for mark in ("mark 1", "mark 2"):
        claim = await boxes.settle(letter(claim, reason="exhausted", pending_intent=mark))
    await boxes.store.settle(Settlement(claim, back=True))
    await boxes.moves.replay(["m1", "m2"])
    again = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    assert again.intent == "mark 1"
    again = await boxes.settle(delivered(again))
    assert again.intent == "mark 2"


async def test_letters_replayed_together_keep_states_apart(boxes: Mailboxes) -> None:
    """What happens to one of two letters replayed in the same millisecond is not the other's."""
    await boxes.post(track("m1", "ann"), track("m2", "ann"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    claim = await boxes.settle(letter(claim))
    claim = await boxes.settle(letter(claim))
    await boxes.store.settle(Settlement(claim, back=True))
    assert await boxes.moves.replay(["m1", "m2", "m3"]) == ["m1", "m2"]
    again = await boxes.lease_and_claim(Lane.EVENT, "ann")
    first, second = again.entries
    assert first.order < second.order
    await boxes.store.settle(tried_again(again, boxes.now_ms()))
    final = await boxes.lease_and_claim(Lane.EVENT, "ann")
    assert [final.state(entry).tried for entry in final.entries] == [1, 0]


async def test_a_failed_event_waits_and_its_followers_behind_it(boxes: Mailboxes) -> None:
    """The head's retry time is the mailbox's; no other mailbox waits."""
    await boxes.post(track("m1", "ann"), track("m2", "ann"), track("m3", "bob"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    await boxes.store.settle(tried_again(claim, boxes.now_ms() + 5000))
    await boxes.post(track("m4", "ann"))
    assert await boxes.due(Lane.EVENT) == {"ann": 5000}
    boxes.clock.advance(5.0)
    again = await boxes.lease_and_claim(Lane.EVENT, "ann")
    assert [entry.id for entry in again.entries] == ["m1", "m2", "m4"]


async def test_an_event_that_arrives_during_a_claim_is_not_left_behind(boxes: Mailboxes) -> None:
    """I2: a mailbox given back empty by its owner's count may have been posted to meanwhile."""
    await boxes.post(track("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    await boxes.post(track("m2", "ann"))
    assert await boxes.store.settle(delivered(claim, back=True)) == 1
    assert await boxes.due(Lane.EVENT) == {"ann": 0}
    assert await boxes.leased(Lane.EVENT) == {}


async def test_a_mailbox_that_is_given_back_keeps_its_place(boxes: Mailboxes) -> None:
    """A slot too far away or a closing gate costs a mailbox nothing."""
    await boxes.post(track("m1", "ann"))
    boxes.clock.advance(3.0)
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    await boxes.store.settle(Settlement(claim, back=True, due="old"))
    assert await boxes.due(Lane.EVENT) == {"ann": -3000}


async def test_an_emptied_mailbox_leaves_nothing(boxes: Mailboxes) -> None:
    """Memory is bounded by what waits: no key of a mailbox outlives its last event."""
    await boxes.post(identify("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.USER, "ann")
    await boxes.store.settle(tried_again(claim, boxes.now_ms()))
    claim = await boxes.lease_and_claim(Lane.USER, "ann")
    await boxes.store.settle(delivered(claim, back=True))
    assert await boxes.redis.keys("sailpipe:default:state:*") == []
    assert await boxes.redis.keys("sailpipe:default:mail:*") == []


async def test_a_settle_that_fails_over_what_it_was_given_has_written_nothing(
    redis_url: str,
) -> None:
    """I1: a script is not rolled back; written halfway, each repetition would trim the next event. A
    real Redis, since it is its JSON reader that refuses half a surrogate pair."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        boxes = Mailboxes(client)
        await boxes.post(track("m1", "ann"), track("m2", "ann"))
        claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
        settlement = letter(claim)
        ((position, identity, header),) = settlement.dead
        broken = json.dumps(json.loads(header) | {"detail": "a cut \ud83d"})
        settlement = replace(settlement, dead=[(position, identity, broken)])
        with pytest.raises(redis.exceptions.ResponseError):
            await boxes.store.settle(settlement)
        assert await boxes.mail(Lane.EVENT, "ann") == ["m1", "m2"]
        assert await boxes.counts() == {"waiting:event": 2}
        assert await boxes.dead() == {}
