"""Claims and settlements of many mailboxes are one script call each; what is wrong with one is its own trouble."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio

from pipeline.events.models import Lane
from pipeline.mailbox import store as store_module
from pipeline.mailbox.claim import Claim, Entry, Settlement
from pipeline.mailbox.store import MAX_BYTES, SETTLEMENTS, MailboxStore
from pipeline.storage import keys
from pipeline.storage.scripts import OwnFault, is_own_fault
from tests.support.mailboxes import Mailboxes, delivered, letter, order, track, tried_again

USERS = [f"u{n}" for n in range(6)]


@pytest.fixture
async def boxes(redis_url: str) -> AsyncIterator[Mailboxes]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield Mailboxes(client)


class Spy:
    """Notes each script call's name and reply."""

    def __init__(self, store: MailboxStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.replies: list[tuple[str, Any]] = []
        run = store._scripts.run

        async def noted(name: str, *rest: Any) -> Any:
            reply = await run(name, *rest)
            self.replies.append((name, reply))
            return reply

        monkeypatch.setattr(store._scripts, "run", noted)

    def calls(self, name: str) -> int:
        return sum(one == name for one, _ in self.replies)


async def lease(boxes: Mailboxes, *users: str) -> None:
    """One event of each user, leased."""
    await boxes.post(*(track(f"m-{user}", user) for user in users))
    assert set((await boxes.wake(Lane.EVENT)).boxes) == set(users)


async def claim_all(boxes: Mailboxes, *users: str) -> list[Any]:
    claims = (boxes.store.claim(Lane.EVENT, user, most=40) for user in users)
    return await asyncio.gather(*claims, return_exceptions=True)


async def settle_all(boxes: Mailboxes, *settlements: Settlement) -> list[Any]:
    return await asyncio.gather(*map(boxes.store.settle, settlements), return_exceptions=True)


async def test_many_mailboxes_are_claimed_and_settled_in_one_call_each(
    boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its own token, and its counts are added up."""
    await lease(boxes, *USERS)
    spy = Spy(boxes.store, monkeypatch)
    claims = await claim_all(boxes, *USERS)
    assert len({claim.token for claim in claims}) == len(USERS)
    assert [claim.user for claim in claims] == USERS
    assert await settle_all(boxes, *(delivered(claim, back=True) for claim in claims)) == [0] * 6
    assert (spy.calls("claim"), spy.calls("settle")) == (1, 1)
    assert await boxes.counts() == {"delivered": 6}
    assert await boxes.leased(Lane.EVENT) == {}


async def test_a_mailbox_that_is_asked_for_twice_in_one_call_has_one_owner(
    boxes: Mailboxes,
) -> None:
    """A wake-up may come twice."""
    await lease(boxes, "ann")
    first, second, third = await claim_all(boxes, "ann", "ann", "nobody")
    assert isinstance(first, Claim)
    assert (second, third) == (None, None)


async def test_a_mailbox_that_cannot_be_read_fails_alone(boxes: Mailboxes) -> None:
    """It stays leased and unowned; the others are claimed."""
    await lease(boxes, "ann", "bob", "eve")
    await boxes.redis.rpush(keys.mail("default", Lane.USER, "bob"), "no header")
    ann, bob, eve = await claim_all(boxes, "ann", "bob", "eve")
    assert isinstance(bob, OwnFault)
    assert is_own_fault(bob)
    assert not await boxes.redis.hexists(keys.mailbox_state("default", Lane.EVENT, "bob"), "token")
    assert await settle_all(boxes, delivered(ann, back=True), delivered(eve, back=True)) == [0, 0]
    assert set(await boxes.leased(Lane.EVENT)) == {"bob"}


async def test_a_settlement_that_cannot_be_written_fails_alone(boxes: Mailboxes) -> None:
    """Nothing of it is written, wherever it stands among the others, and it is no refusal of Redis'."""
    await lease(boxes, "ann", "bob", "eve")
    ann, bob, eve = await claim_all(boxes, "ann", "bob", "eve")
    header = json.dumps({"reason": "\ud83d", "died_at": 1, "lane": "event", "user": "bob"})
    bad = Settlement(bob, pop=1, dead=[(1, "m-bob", header)], count={"delivered": 7}, back=True)
    done = await settle_all(boxes, delivered(ann, back=True), bad, delivered(eve, back=True))
    assert (done[0], done[2]) == (0, 0)
    assert is_own_fault(done[1])
    assert await boxes.counts() == {"delivered": 2, "waiting:event": 1}
    assert await boxes.mail(Lane.EVENT, "bob") == ["m-bob"]
    assert await boxes.dead() == {}


async def test_a_stale_settlement_writes_nothing_and_keeps_no_other_from_it(
    boxes: Mailboxes,
) -> None:
    """A process that was frozen settles what it lost beside what it owns."""
    await lease(boxes, "ann", "bob")
    old, _ = await claim_all(boxes, "ann", "bob")
    boxes.clock.advance(13)
    await boxes.wake(Lane.EVENT)
    await boxes.wake(Lane.EVENT)
    ann, bob = await claim_all(boxes, "ann", "bob")
    stale, *settled = await settle_all(
        boxes, delivered(old, back=True), delivered(bob, back=True), delivered(ann, back=True)
    )
    assert type(stale).__name__ == "StaleClaim"
    assert settled == [0, 0]
    assert await boxes.counts() == {"delivered": 2}


async def test_no_reply_is_longer_than_it_may_be(
    boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit is claimed by the next call. A mailbox that is too large by itself is read in part."""
    text = "x" * 30_000
    for user in ("ann", "bob", "eve"):
        for half in range(2):
            events = (track(f"{user}-{half}-{n}", user, properties={"a": text}) for n in range(20))
            await boxes.post(*events)
    assert len((await boxes.wake(Lane.EVENT)).boxes) == 3
    spy = Spy(boxes.store, monkeypatch)
    claims = await claim_all(boxes, "ann", "bob", "eve")
    read = [len(claim.entries) for claim in claims]
    assert all(30 <= entries < 40 for entries in read), read
    assert spy.calls("claim") == 3
    for _, reply in spy.replies:
        size = sum(len(entry) for found in reply[1:] for entry in found if isinstance(entry, bytes))
        assert size <= MAX_BYTES + 1_000


async def test_a_call_reads_one_mailbox_more_than_its_reply_holds(boxes: Mailboxes) -> None:
    """Fifty may hold a megabyte each: read by every call that puts them off, they would keep Redis from all others."""
    large = Entry(id="m", seq="1-0", at=1, clock=1, raw=b"x" * 30_000).encode()
    for user in USERS:
        await boxes.redis.rpush(keys.mail("default", Lane.EVENT, user), *[large] * 40)
        await boxes.redis.zadd(keys.due("default", Lane.EVENT), {user: 0})
    await boxes.wake(Lane.EVENT)
    await boxes.redis.config_resetstat()
    claims = await claim_all(boxes, *USERS)
    assert all(isinstance(claim, Claim) for claim in claims)
    stats = await boxes.redis.info("commandstats")
    assert stats["cmdstat_lrange"]["calls"] < 2 * len(USERS)


async def test_no_script_does_more_work_than_it_may(
    boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Letters are more work than deliveries; what is left over goes first in the next call."""
    monkeypatch.setattr(store_module, "MAX_WORK", 5)
    boxes.store = boxes.process_of(boxes.store.target)
    await lease(boxes, *USERS)
    claims = await claim_all(boxes, *USERS)
    spy = Spy(boxes.store, monkeypatch)
    dying = [Settlement(**{**_fields(letter(claim)), "back": True}) for claim in claims]
    assert await settle_all(boxes, *dying) == [0] * 6
    assert spy.calls("settle") == 3
    assert set(await boxes.dead()) == {f"m-{user}" for user in USERS}


def _fields(settlement: Settlement) -> dict[str, Any]:
    return {name: getattr(settlement, name) for name in Settlement.__slots__}


async def test_more_than_one_call_may_hold_are_settled_in_several(
    boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"u{n}" for n in range(SETTLEMENTS.most + 1)]
    await lease(boxes, *users)
    spy = Spy(boxes.store, monkeypatch)
    claims = await claim_all(boxes, *users)
    await settle_all(boxes, *(delivered(claim, back=True) for claim in claims))
    assert (spy.calls("claim"), spy.calls("settle")) == (2, 2)
    assert await boxes.counts() == {"delivered": len(users)}


async def test_a_letter_that_comes_back_into_a_mailbox_settled_in_the_same_call_is_due(
    boxes: Mailboxes,
) -> None:
    """An order's mailbox is emptied by one settlement, and the next of its user's brings a letter back into it."""
    await boxes.post(order("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    died = letter(claim, reason="missing_email")
    await boxes.store.settle(Settlement(**{**_fields(died), "back": True}))
    await boxes.redis.hset(keys.user("default", "ann"), "email", "ann@example.org")
    await boxes.post(order("m2", "ann"), order("m3", "bob"))
    await boxes.wake(Lane.PURCHASE)
    ann, bob = await asyncio.gather(
        *(boxes.store.claim(Lane.PURCHASE, user, most=40) for user in ("ann", "bob"))
    )
    assert ann is not None
    assert bob is not None
    left = await settle_all(boxes, delivered(ann, back=True), tried_again(bob, boxes.now_ms() + 1))
    assert left == [1, 1]
    assert await boxes.mail(Lane.PURCHASE, "ann") == ["m1"]
    assert set(await boxes.due(Lane.PURCHASE)) == {"ann", "bob"}
    assert await boxes.leased(Lane.PURCHASE) == {}


async def test_a_full_redis_takes_claims_and_settlements_of_many(boxes: Mailboxes) -> None:
    """Their first write frees memory, if only in name."""
    await lease(boxes, *USERS)
    await boxes.redis.config_set("maxmemory", "1")
    try:
        claims = await claim_all(boxes, *USERS)
        kinds = [
            delivered(claims[0], back=True),
            Settlement(**{**_fields(letter(claims[1])), "back": True}),
            tried_again(claims[2], boxes.now_ms() + 1_000),
        ]
        assert await settle_all(boxes, *kinds) == [0, 0, 1]
    finally:
        await boxes.redis.config_set("maxmemory", "0")
