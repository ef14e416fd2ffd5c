"""Mailboxes that wait for an email, a user or their turn: woken at once, and never too late."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline.events.models import Lane
from pipeline.gates.gates import Closure
from pipeline.mailbox.claim import Claim, Settlement
from pipeline.storage import keys
from pipeline.storage.numbers import RECALLED_LETTERS
from tests.support.mailboxes import Mailboxes, delivered, identify, letter, order, track

HOUR_MS = 3_600_000


def until_email(boxes: Mailboxes, claim: Claim) -> Settlement:
    return Settlement(claim, back=True, waits="email", due=boxes.now_ms() + HOUR_MS)


def identified(claim: Claim) -> Settlement:
    return delivered(
        claim,
        back=True,
        learn={"identified": str(claim.now)},
        wake=(Lane.EVENT, Lane.PURCHASE, Lane.PAGE),
    )


async def test_a_learned_email_wakes_an_order_at_once(boxes: Mailboxes) -> None:
    """Any event of the user that shows an email releases what waits for one."""
    await boxes.post(order("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    await boxes.store.settle(until_email(boxes, claim))
    assert await boxes.due(Lane.PURCHASE) == {"ann": HOUR_MS}
    await boxes.post(track("m2", "ann", context={"traits": {"email": "ann@example.com"}}))
    assert await boxes.due(Lane.PURCHASE) == {"ann": 0}
    again = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    assert again.memory.email == "ann@example.com"


async def test_an_email_learned_between_claim_and_settle_is_not_missed(boxes: Mailboxes) -> None:
    """The settle that would wait reads again what the decision to wait was based on."""
    await boxes.post(order("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    await boxes.post(identify("m2", "ann", email="ann@example.com"))
    await boxes.store.settle(until_email(boxes, claim))
    assert await boxes.due(Lane.PURCHASE) == {"ann": 0}


async def test_a_user_identified_between_claim_and_settle_is_not_missed(boxes: Mailboxes) -> None:
    """The same for an event whose user Sailthru did not know."""
    await boxes.post(identify("m1", "ann"), track("m2", "ann"))
    waiting = await boxes.lease_and_claim(Lane.EVENT, "ann")
    user = await boxes.lease_and_claim(Lane.USER, "ann")
    boxes.clock.advance(1.0)
    await boxes.store.settle(identified(user))
    await boxes.store.settle(
        Settlement(waiting, back=True, waits="user", due=boxes.now_ms() + HOUR_MS)
    )
    assert await boxes.due(Lane.EVENT) == {"ann": 0}


async def test_a_delivered_identify_wakes_what_waits_for_its_user_or_for_an_identify(
    boxes: Mailboxes,
) -> None:
    """It releases event, purchase and page; a mailbox between two tries stays where it is."""
    await boxes.post(identify("m0", "ann"), track("m1", "ann"), order("m2", "ann"))
    later = boxes.now_ms() + HOUR_MS
    event = await boxes.lease_and_claim(Lane.EVENT, "ann")
    await boxes.store.settle(Settlement(event, back=True, waits="identify", due=later))
    purchase = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    await boxes.store.settle(Settlement(purchase, back=True, due=later))
    user = await boxes.lease_and_claim(Lane.USER, "ann")
    await boxes.store.settle(identified(user))
    assert await boxes.due(Lane.EVENT) == {"ann": 0}
    assert await boxes.due(Lane.PURCHASE) == {"ann": HOUR_MS}


async def test_a_look_at_another_user_counts_what_waits_in_each_lane(boxes: Mailboxes) -> None:
    """Also with the mailboxes of users whose names begin alike beside it."""
    await boxes.post(identify("m1", "ann"), track("m2", "ann"), track("m3", "ann"))
    await boxes.post(track("m4", "anna"), order("m5", "anna"))
    backlog = await boxes.store.peek("ann")
    assert backlog.waiting == dict.fromkeys(Lane, 0) | {Lane.USER: 1, Lane.EVENT: 2}


async def test_the_newest_email_stays(boxes: Mailboxes) -> None:
    """What a look-up answers late never replaces what an event showed meanwhile."""
    await boxes.post(order("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    await boxes.post(identify("m2", "ann", email="new@example.com"))
    learned = {"email": "old@example.com"}
    await boxes.store.settle(Settlement(claim, back=True, learn=learned))
    again = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    assert again.memory.email == "new@example.com"
    when: Any = await boxes.redis.hget(keys.user("default", "ann"), "email_at")
    assert int(when) == boxes.now_ms()


async def test_an_order_that_dies_for_want_of_an_email_just_learned_is_replayed(
    boxes: Mailboxes,
) -> None:
    """The splitter looked for its letter a moment before there was one."""
    await boxes.post(order("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    await boxes.post(identify("m2", "ann", email="ann@example.com"))
    await boxes.store.settle(replace(letter(claim, reason="missing_email"), back=True))
    assert await boxes.dead() == {}
    assert await boxes.mail(Lane.PURCHASE, "ann") == ["m1"]
    assert await boxes.due(Lane.PURCHASE) == {"ann": 0}


async def test_one_email_replays_more_orders_than_one_script_may(boxes: Mailboxes) -> None:
    """A till's: each delivery is followed by the next."""
    names = [f"m{n:03}" for n in range(150)]
    await boxes.post(*(order(name, "till") for name in names))
    await boxes.wake(Lane.PURCHASE)
    claim = await boxes.claim(Lane.PURCHASE, "till", most=len(names))
    for _ in names:
        claim = await boxes.settle(letter(claim, reason="missing_email"))
    await boxes.store.settle(Settlement(claim, back=True))
    await boxes.post(identify("id", "till", email="till@example.com"))
    assert await boxes.mail(Lane.PURCHASE, "till") == names[:RECALLED_LETTERS]
    for _ in range(2):
        claim = await boxes.lease_and_claim(Lane.PURCHASE, "till")
        await boxes.store.settle(delivered(claim, back=True))
    assert await boxes.mail(Lane.PURCHASE, "till") == names[2:]
    assert await boxes.dead() == {}


async def test_orders_that_died_without_email_are_replayed_in_order(boxes: Mailboxes) -> None:
    """An identify that brings the email replays them, the one that died first first."""
    names = [f"m{n}" for n in range(12)]
    await boxes.post(*(order(name, "ann") for name in names), order("other", "bob"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    for _ in names[1:]:
        claim = await boxes.settle(letter(claim, reason="missing_email"))
    claim = await boxes.settle(letter(claim, reason="rejected"))
    await boxes.store.settle(Settlement(claim, back=True))
    assert await boxes.mail(Lane.PURCHASE, "ann") == []
    await boxes.post(identify("id", "ann", email="ann@example.com"))
    assert await boxes.mail(Lane.PURCHASE, "ann") == names[:-1]
    assert await boxes.due(Lane.PURCHASE) == {"ann": 0}
    assert set(await boxes.dead()) == {names[-1]}


async def test_a_lanes_clock_stands_still_behind_a_closed_gate(boxes: Mailboxes) -> None:
    """I5: an hour of pause is no hour of age, for what waited before and for what came during it."""
    await boxes.post(order("m1", "ann"))
    await boxes.gates.close(Closure("purchase", "paused", 0, boxes.now_ms()))
    await boxes.wake(Lane.PURCHASE)
    for _ in range(60):
        boxes.clock.advance(60.0)
        await boxes.wake(Lane.PURCHASE)
    await boxes.post(order("m2", "bob"))
    assert await boxes.gates.open("purchase", "paused")
    await boxes.wake(Lane.PURCHASE)
    boxes.clock.advance(7.0)
    ages = [
        claim.clock - claim.head.clock
        for box in ("ann", "bob")
        if (claim := await boxes.claim(Lane.PURCHASE, box))
    ]
    assert ages == [7_000, 7_000]
