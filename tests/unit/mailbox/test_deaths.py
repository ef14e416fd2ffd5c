"""Processes that die with a mailbox in hand: what their deaths count against, and what they don't."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pipeline.events.models import Lane
from pipeline.mailbox.claim import Settlement
from pipeline.mailbox.store import MailboxStore
from pipeline.storage import keys
from pipeline.storage.numbers import (
    POISON_AFTER,
    SINGLY_AFTER,
    SUSPECTS_PASSED_OVER,
    SUSPECTS_REST_MS,
)
from tests.support.mailboxes import LEASE_S, Mailboxes, delivered, letter, track, tried_again


async def test_after_two_deaths_events_are_leased_one_at_a_time(boxes: Mailboxes) -> None:
    """Poison: one bad event must not take its neighbours with it."""
    await boxes.post(*(track(f"m{n}", "ann") for n in range(3)))
    leased = [len((await boxes.die(Lane.EVENT, "ann")).entries) for _ in range(4)]
    assert leased == [3, 3, 1, 1]


async def test_only_the_culprit_dies_of_poison(boxes: Mailboxes) -> None:
    """Every process that claims `bad` dies; everything around it is delivered, and `bad` alone is poison."""
    names = ["m1", "m2", "bad", "m3", "m4"]
    await boxes.post(*(track(name, "ann") for name in names))
    through, poisoned, deaths = [], [], 0
    while await boxes.mail(Lane.EVENT, "ann"):
        claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
        if claim.strikes >= POISON_AFTER:
            poisoned.append(claim.head.id)
            claim = await boxes.settle(letter(claim, reason="poison"))
            await boxes.store.settle(Settlement(claim, back=True))
        elif "bad" in [entry.id for entry in claim.entries]:
            deaths += 1
            boxes.clock.advance(LEASE_S + 1)
        else:
            through += [entry.id for entry in claim.entries]
            await boxes.store.settle(delivered(claim, len(claim.entries), back=True))
    assert (through, poisoned, deaths) == (["m1", "m2", "m3", "m4"], ["bad"], POISON_AFTER)
    assert set(await boxes.dead()) == {"bad"}


async def test_thousands_that_two_processes_died_with_hold_up_no_other_mailbox(
    boxes: Mailboxes,
) -> None:
    """One of them is leased at a time, and a wake-up passes over a bounded number of them."""
    suspects = 2 * SUSPECTS_PASSED_OVER + 1
    async with boxes.redis.pipeline() as pipe:
        for n in range(suspects):
            pipe.rpush(keys.mail("default", Lane.EVENT, f"bad{n}"), b"{}\n{}")
            state: Any = {"strikes": SINGLY_AFTER, "singles": 1}
            pipe.hset(keys.mailbox_state("default", Lane.EVENT, f"bad{n}"), mapping=state)
            pipe.zadd(keys.due("default", Lane.EVENT), {f"bad{n}": n})
        await pipe.execute()
    await boxes.post(track("m1", "ann"))
    leased = [list((await boxes.wake(Lane.EVENT)).boxes) for _ in range(3)]
    assert leased == [["bad0"], [], ["ann"]]
    boxes.clock.advance(SUSPECTS_REST_MS / 1000)
    assert len(await boxes.due(Lane.EVENT)) == suspects - 1
    assert max((await boxes.due(Lane.EVENT)).values()) <= 0


async def test_progress_resets_the_strike_count(boxes: Mailboxes) -> None:
    """Attempts belong to events: what came through clears what was counted before."""
    await boxes.post(*(track(f"m{n}", "ann") for n in range(4)))
    await boxes.die(Lane.EVENT, "ann")
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    assert claim.strikes == 1
    await boxes.store.settle(delivered(claim, back=True))
    assert (await boxes.lease_and_claim(Lane.EVENT, "ann")).strikes == 0


async def test_an_event_that_is_found_waiting_has_its_strikes_reduced(
    boxes: Mailboxes,
) -> None:
    """An order may wait for days, and five deploys that kill meet it by chance."""
    await boxes.post(*(track(f"m{n}", "ann") for n in range(3)))
    strikes = []
    for _ in range(7):
        strikes.append((await boxes.die(Lane.EVENT, "ann")).strikes)
        claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
        await boxes.store.settle(Settlement(claim, back=True, due=boxes.now_ms(), waits="email"))
    assert max(strikes) < POISON_AFTER
    assert len((await boxes.lease_and_claim(Lane.EVENT, "ann")).entries) == 1


@pytest.mark.parametrize("how", ["released", "tried again"])
async def test_a_claim_given_back_or_retried_keeps_its_strikes(boxes: Mailboxes, how: str) -> None:
    """Its events were not looked at, or one of them may kill at its call, which a retry has always preceded."""
    await boxes.post(track("m1", "ann"))
    for death in range(POISON_AFTER):
        assert (await boxes.die(Lane.EVENT, "ann")).strikes == death
        claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
        released = Settlement(claim, back=True, due="old")
        again = tried_again(claim, boxes.now_ms())
        await boxes.store.settle(released if how == "released" else again)
    assert (await boxes.lease_and_claim(Lane.EVENT, "ann")).strikes == POISON_AFTER


async def test_a_lost_wake_up_is_no_death(boxes: Mailboxes) -> None:
    """What was leased and never claimed comes back after its lease, without a strike."""
    await boxes.post(track("m1", "ann"))
    for _ in range(6):
        assert (await boxes.wake(Lane.EVENT)).boxes == ("ann",)
        boxes.clock.advance(LEASE_S)
    assert (await boxes.lease_and_claim(Lane.EVENT, "ann")).strikes == 0


async def test_a_standstill_extends_leases_instead_of_expiring_them(boxes: Mailboxes) -> None:
    """When no waker ticked for long, the owners stood still, too: their leases are extended once."""
    await boxes.post(track("m1", "ann"))
    tick = (await boxes.wake(Lane.EVENT)).now
    claim = await boxes.claim(Lane.EVENT, "ann")
    boxes.clock.advance(60.0)
    assert (await boxes.wake(Lane.EVENT, own_tick=tick)).boxes == ()
    assert await boxes.store.settle(delivered(claim, back=True)) == 0


async def test_leases_are_extended_once_even_if_wakers_stay_slow(boxes: Mailboxes) -> None:
    """A waker that is always late must not keep the leases of the dead for ever."""
    await boxes.post(track("m1", "ann"))
    tick = (await boxes.wake(Lane.EVENT)).now
    await boxes.claim(Lane.EVENT, "ann")
    given_back = []
    for _ in range(4):
        boxes.clock.advance(7.0)
        leased = await boxes.wake(Lane.EVENT, own_tick=tick)
        tick = leased.now
        given_back.append(leased.boxes)
    assert given_back == [(), (), ("ann",), ()]


async def test_a_dead_process_is_noticed_while_another_waker_ticks(boxes: Mailboxes) -> None:
    """A frozen waker extends nothing when others went on ticking."""
    await boxes.post(track("m1", "ann"))
    first_tick = (await boxes.wake(Lane.EVENT)).now
    await boxes.claim(Lane.EVENT, "ann")
    for _ in range(12):
        boxes.clock.advance(1.0)
        own = boxes.now_ms() - 1000
        last = await boxes.wake(Lane.EVENT, own_tick=own)
    assert last.boxes == ("ann",)
    boxes.clock.advance(LEASE_S)
    assert (await boxes.wake(Lane.EVENT, own_tick=first_tick)).boxes == ("ann",)


async def test_a_new_waker_extends_nothing(boxes: Mailboxes) -> None:
    """After everything was down the leases are those of the dead."""
    await boxes.post(track("m1", "ann"))
    await boxes.wake(Lane.EVENT)
    await boxes.claim(Lane.EVENT, "ann")
    boxes.clock.advance(60.0)
    assert (await boxes.wake(Lane.EVENT, own_tick=0)).boxes == ("ann",)


async def test_of_the_mailboxes_with_two_deaths_one_is_leased_at_a_time(boxes: Mailboxes) -> None:
    """What dies beside a killer again and again would end as poison, too."""
    users = ["ann", "bob", "cid"]
    await boxes.post(*(track(f"m-{user}", user) for user in users))
    for _ in range(2):
        for user in (await boxes.wake(Lane.EVENT)).boxes:
            await boxes.claim(Lane.EVENT, user)
        boxes.clock.advance(LEASE_S + 1)
    [first] = (await boxes.wake(Lane.EVENT)).boxes
    assert (await boxes.wake(Lane.EVENT)).boxes == ()
    claim = await boxes.claim(Lane.EVENT, first)
    await boxes.store.settle(delivered(claim, back=True))
    [second] = (await boxes.wake(Lane.EVENT)).boxes
    assert first != second
    assert {first, second} < set(users)


async def test_a_mailbox_with_two_deaths_is_leased_alone_however_long_it_is_held(
    boxes: Mailboxes,
) -> None:
    """A hanging event is renewed lease after lease, and must not take another's with it at the end."""
    lease_s = 0.02
    boxes.store = MailboxStore(boxes.redis, "default", lease_s=lease_s, time_ms=boxes.now_ms)
    await boxes.post(track("m1", "ann"), track("m2", "bob"))
    for _ in range(2):
        for user in (await boxes.wake(Lane.EVENT)).boxes:
            await boxes.claim(Lane.EVENT, user)
        boxes.clock.advance(1)
    [first] = (await boxes.wake(Lane.EVENT)).boxes
    await boxes.claim(Lane.EVENT, first)
    await asyncio.sleep(2 * lease_s)
    assert (await boxes.wake(Lane.EVENT)).boxes == ()


async def test_any_number_of_mailboxes_with_two_deaths_leaves_room_for_the_others(
    boxes: Mailboxes,
) -> None:
    """The others are leased, however long the suspects have been due."""
    users = [f"u{number}" for number in range(250)]
    for user in users:
        await boxes.post(track(f"m-{user}", user))
        await boxes.redis.hset(f"sailpipe:default:state:event:{user}", "strikes", "2")
    [_] = (await boxes.wake(Lane.EVENT, bound=2)).boxes
    boxes.clock.advance(1)
    await boxes.post(track("m1", "ann"), track("m2", "bob"))
    assert (await boxes.wake(Lane.EVENT, bound=2)).boxes == ("ann",)
