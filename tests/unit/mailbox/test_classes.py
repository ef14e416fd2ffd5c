"""Live before bulk: which mailboxes are leased first, and when a bulk one is live."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pipeline.deadletters.store import DeadLetters
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure
from pipeline.mailbox.claim import Settlement
from pipeline.ownership.adopt import adopt
from pipeline.ownership.reset import reset
from pipeline.producer import RAW_HOLD
from pipeline.status.lanes import look_at_lane
from pipeline.storage.numbers import BULK_SHARE
from pipeline.targets import Target
from tests.support.mailboxes import (
    FAR,
    LEASE_S,
    Mailboxes,
    delivered,
    identify,
    letter,
    order,
    track,
)

LIVE = Target("api.sailthru.com 1a2b-5f3c9e21ab00")


async def post_bulk(boxes: Mailboxes, *events: dict[str, Any]) -> None:
    await boxes.accept(*events, **{"class": "bulk"})
    await boxes.split()


async def wake(boxes: Mailboxes, bound: int, bulk_bound: int | None = None) -> tuple[str, ...]:
    leased = await boxes.store.wake(
        Lane.EVENT, bound=bound, bulk_bound=bulk_bound, max_queue_length=FAR, own_tick=0
    )
    return leased.boxes


async def test_live_mailboxes_are_leased_before_bulk_ones(boxes: Mailboxes) -> None:
    """Though they came later."""
    await post_bulk(boxes, track("m1", "old"))
    boxes.clock.advance(60)
    await boxes.post(track("m2", "ann"))
    assert await wake(boxes, 1) == ("ann",)
    assert await wake(boxes, 2) == ("old",)


async def test_bulk_mailboxes_are_leased_while_little_is_out(boxes: Mailboxes) -> None:
    """A live event that comes finds few of them before it; live ones fill what may be leased."""
    await post_bulk(boxes, *(track(f"b{n}", f"old{n}") for n in range(9)))
    assert len(await wake(boxes, 6, bulk_bound=3)) == 3
    await boxes.post(*(track(f"m{n}", f"ann{n}") for n in range(9)))
    assert {name[:3] for name in await wake(boxes, 6, bulk_bound=3)} == {"ann"}
    assert len(await boxes.leased(Lane.EVENT)) == 6


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_bound_below_what_is_leased_already_leases_nothing_more(
    boxes: Mailboxes, *, bulk: bool
) -> None:
    """A process of a lower LEASE bound, or one whose lane has become slow, asks beside others."""
    events = [track(f"m{n}", f"u{n}") for n in range(40)]
    await (post_bulk(boxes, *events) if bulk else boxes.post(*events))
    assert len(await wake(boxes, 10)) == 10
    for bound in (10, 9, 3, 0):
        assert await wake(boxes, bound) == ()
    assert len(await wake(boxes, 12)) == 2


@pytest.mark.parametrize(("live_events", "bulk_events"), [(1, 1), (8, 1), (1, 8), (8, 8)])
async def test_bulk_has_a_tenth_of_the_calls_while_live_fills_the_lane(
    boxes: Mailboxes, live_events: int, bulk_events: int
) -> None:
    """However many calls a mailbox is good for. A claim of a bulk one makes two at most, of a live one six."""
    for n in range(60):
        await post_bulk(boxes, *(track(f"b{n}.{k}", f"old{n}") for k in range(bulk_events)))
        await boxes.post(*(track(f"m{n}.{k}", f"ann{n}") for k in range(live_events)))
    calls = {"ann": 0, "old": 0}
    for _ in range(120):
        for box in await wake(boxes, 1, bulk_bound=0):
            claim = await boxes.claim(Lane.EVENT, box)
            turns = min(len(claim.entries), 2 if claim.bulk else 6)
            calls[box[:3]] += turns
            boxes.clock.advance(0.001)
            for turn in range(turns):
                claim = await boxes.settle(delivered(claim, back=turn == turns - 1))
        if sum(calls.values()) >= 60:
            break
    assert calls["old"] == pytest.approx(sum(calls.values()) / BULK_SHARE, abs=2)
    assert calls["old"] > 0


async def test_what_bulk_was_owed_is_lives_when_no_bulk_may_be_leased(boxes: Mailboxes) -> None:
    """All that waits may be mailboxes that two processes died with: of these one is leased at a time."""
    await post_bulk(boxes, *(track(f"b{n}", f"old{n}") for n in range(2)))
    for _ in range(2):
        await wake(boxes, 2)
        for n in range(2):
            await boxes.claim(Lane.EVENT, f"old{n}")
        boxes.clock.advance(LEASE_S + 0.001)
    await boxes.post(*(track(f"m{n}", f"ann{n}") for n in range(90)))
    for _ in range(7):
        await wake(boxes, 15, bulk_bound=0)
        for box in await boxes.leased(Lane.EVENT):
            if box.startswith("ann"):
                await boxes.store.settle(delivered(await boxes.claim(Lane.EVENT, box), back=True))
    assert await boxes.counts() == {"waiting:event": 2, "delivered": 90}
    await boxes.post(*(track(f"e{n}", f"eve{n}") for n in range(20)))
    await post_bulk(boxes, *(track(f"o{n}", f"older{n}") for n in range(20)))
    leased = await wake(boxes, 11, bulk_bound=0)
    assert sum(box.startswith("older") for box in leased) <= 2 < len(leased)


async def test_a_live_event_lifts_what_its_user_has_waiting_and_keeps_its_place(
    boxes: Mailboxes,
) -> None:
    """Order per user stands above class; what came behind it is bulk again."""
    await post_bulk(boxes, track("b0", "ann"), track("b1", "ann"))
    await boxes.post(track("live", "ann"))
    await post_bulk(boxes, track("b2", "ann"), track("b3", "ann"))
    done = []
    while await boxes.due(Lane.EVENT):
        claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
        await boxes.store.settle(delivered(claim, back=True))
        done.append(claim.head.id)
    assert done == ["b0", "b1", "live"]
    assert await boxes.due(Lane.EVENT, bulk=True) == {"ann": 0}


@pytest.mark.parametrize("leased", [False, True])
async def test_bulk_events_behind_a_live_one_are_bulk_once_that_is_through(
    boxes: Mailboxes, leased: bool
) -> None:
    """Whether they came before it was leased or after."""
    await boxes.post(track("live", "ann"))
    if leased:
        await boxes.wake(Lane.EVENT)
    await post_bulk(boxes, track("b1", "ann"), track("b2", "ann"))
    if not leased:
        assert await boxes.due(Lane.EVENT) == {"ann": 0}
        await boxes.wake(Lane.EVENT)
    claim = await boxes.claim(Lane.EVENT, "ann")
    assert not claim.bulk
    await boxes.store.settle(delivered(claim, back=True))
    assert await boxes.due(Lane.EVENT, bulk=True) == {"ann": 0}


async def test_a_mailbox_is_lifted_while_it_is_leased(boxes: Mailboxes) -> None:
    await post_bulk(boxes, track("b1", "ann"), track("b2", "ann"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    assert claim.bulk
    await boxes.post(track("live", "ann"))
    await boxes.store.settle(delivered(claim, back=True))
    assert await boxes.due(Lane.EVENT) == {"ann": 0}
    assert await boxes.due(Lane.EVENT, bulk=True) == {}


async def test_a_mailbox_whose_owner_died_is_due_in_its_class(boxes: Mailboxes) -> None:
    await post_bulk(boxes, track("b1", "ann"))
    await boxes.post(track("m1", "bob"))
    await boxes.wake(Lane.EVENT)
    boxes.clock.advance(LEASE_S)
    await boxes.wake(Lane.EVENT, bound=0)
    assert set(await boxes.due(Lane.EVENT)) == {"bob"}
    assert set(await boxes.due(Lane.EVENT, bulk=True)) == {"ann"}


async def test_a_mailbox_that_finds_its_gate_closed_keeps_its_class(boxes: Mailboxes) -> None:
    await post_bulk(boxes, track("b1", "ann"))
    await boxes.post(track("m1", "bob"))
    await boxes.wake(Lane.EVENT)
    await boxes.gates.close(Closure("event", "paused", 0, boxes.now_ms()))
    for user in ("ann", "bob"):
        assert await boxes.store.claim(Lane.EVENT, user, most=1) is None
    assert set(await boxes.due(Lane.EVENT)) == {"bob"}
    assert set(await boxes.due(Lane.EVENT, bulk=True)) == {"ann"}


async def test_a_live_event_lifts_the_identify_it_waits_for(boxes: Mailboxes) -> None:
    await post_bulk(boxes, identify("i1", "ann"), identify("i2", "bob"))
    await boxes.post(track("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    due = boxes.now_ms() + 60_000
    await boxes.store.settle(Settlement(claim, back=True, due=due, waits="identify"))
    assert set(await boxes.due(Lane.USER)) == {"ann"}
    assert set(await boxes.due(Lane.USER, bulk=True)) == {"bob"}


async def test_a_bulk_event_that_waits_lifts_nothing_until_a_live_one_comes_behind_it(
    boxes: Mailboxes,
) -> None:
    """Then it is looked at, so that its next owner lifts what it waits for."""
    await post_bulk(boxes, identify("i1", "ann"), track("b1", "ann"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    due = boxes.now_ms() + 60_000
    await boxes.store.settle(Settlement(claim, back=True, due=due, waits="identify"))
    assert await boxes.due(Lane.USER) == {}
    assert await boxes.due(Lane.EVENT, bulk=True) == {"ann": 60_000}
    await boxes.post(track("m1", "ann"))
    assert await boxes.due(Lane.EVENT) == {"ann": 0}


async def test_a_live_merge_lifts_all_that_waits_of_the_visitor(boxes: Mailboxes) -> None:
    await post_bulk(boxes, identify("i1", "visitor"), track("b1", "visitor"))
    await boxes.post(identify("m1", "ann"))
    await boxes.wake(Lane.USER, bound=1)
    claim = await boxes.claim(Lane.USER, "ann")
    due = boxes.now_ms() + 1_000
    await boxes.store.settle(Settlement(claim, back=True, due=due, lift="visitor"))
    assert set(await boxes.due(Lane.USER)) == {"ann", "visitor"}
    assert set(await boxes.due(Lane.EVENT)) == {"visitor"}


async def test_replayed_letters_are_bulk(boxes: Mailboxes) -> None:
    """Those the splitter had refused, too."""
    await boxes.post(track("m1", "ann"), {"messageId": "m2", "type": "nonsense"})
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    await boxes.store.settle(Settlement(await boxes.settle(letter(claim)), back=True))
    assert await boxes.moves.replay(["m1", "m2"]) == ["m1", "m2"]
    assert set(await boxes.due(Lane.EVENT, bulk=True)) == {"ann"}
    raw: Any = await boxes.redis.xrange("sailpipe:raw")
    ((_, fields),) = raw
    assert fields[b"class"] == b"bulk"


async def test_a_replay_holds_back_while_the_raw_stream_is_long(boxes: Mailboxes) -> None:
    """A live event is soon split, though a hundred thousand letters that the splitter refused go through it again."""
    await boxes.post({"messageId": "m1", "type": "nonsense"})
    await boxes.accept(*(track(f"m{n}", "ann") for n in range(2, RAW_HOLD + 2)))
    letters, held = DeadLetters(boxes.redis, "default"), asyncio.Event()
    replaying = asyncio.create_task(letters.replay(["m1"], on_hold=lambda _: held.set()))
    await asyncio.wait_for(held.wait(), 10)
    assert set(await boxes.dead()) == {"m1"}
    await boxes.split()
    assert await asyncio.wait_for(replaying, 10) == 1
    assert await boxes.dead() == {}


@pytest.mark.parametrize("bulk", [True, False])
async def test_orders_that_died_without_an_email_go_on_in_the_class_of_what_shows_it(
    boxes: Mailboxes, bulk: bool
) -> None:
    await boxes.post(order("o1", "ann"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    dead = await boxes.settle(letter(claim, reason="missing_email"))
    await boxes.store.settle(Settlement(dead, back=True))
    shows = identify("i1", "ann", email="ann@example.com")
    await (post_bulk(boxes, shows) if bulk else boxes.post(shows))
    assert set(await boxes.due(Lane.PURCHASE, bulk=bulk)) == {"ann"}


async def test_an_order_that_a_live_ones_settlement_brings_back_is_live(boxes: Mailboxes) -> None:
    """So is what lies before it, though the live one is gone."""
    await boxes.post(order("o1", "ann"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    dead = await boxes.settle(letter(claim, reason="missing_email"))
    await boxes.store.settle(Settlement(dead, back=True))
    await boxes.post(order("o2", "ann"))
    await post_bulk(boxes, order("b1", "ann"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    learn = {"email": "ann@example.com"}
    await boxes.store.settle(delivered(claim, back=True, learn=learn))
    assert await boxes.mail(Lane.PURCHASE, "ann") == ["b1", "o1"]
    assert await boxes.due(Lane.PURCHASE) == {"ann": 0}


async def test_status_sees_what_is_bulk(boxes: Mailboxes) -> None:
    """The oldest event of a lane may be one of an import."""
    await post_bulk(boxes, track("b1", "old"))
    began = boxes.now_ms()
    boxes.clock.advance(60)
    await boxes.post(track("m1", "ann"))
    look = await look_at_lane(boxes.redis, "default", Lane.EVENT, now_ms=boxes.now_ms())
    assert look.oldest_ms == began


async def test_adopted_mailboxes_keep_their_class(boxes: Mailboxes) -> None:
    """Leased or not."""
    await post_bulk(boxes, track("b1", "old"), track("b2", "older"))
    await boxes.wake(Lane.EVENT, bound=1)
    await boxes.post(track("m1", "ann"))
    await adopt(boxes.redis, "default", LIVE, lambda _: None)
    assert set(await boxes.due(Lane.EVENT)) == {"ann"}
    assert set(await boxes.due(Lane.EVENT, bulk=True)) == {"old", "older"}


async def test_a_reset_empties_bulk_mailboxes(boxes: Mailboxes) -> None:
    await post_bulk(boxes, track("b1", "old"))
    assert (await reset(boxes.redis, "default", (), lambda _: None)).events == 1
    assert await boxes.due(Lane.EVENT, bulk=True) == {}


async def test_a_clock_that_is_set_back_delays_no_bulk_mailbox(boxes: Mailboxes) -> None:
    await post_bulk(boxes, track("b1", "old"))
    await boxes.wake(Lane.EVENT, bound=0)
    boxes.clock.advance(-3600)
    assert (await boxes.wake(Lane.EVENT)).boxes == ("old",)
