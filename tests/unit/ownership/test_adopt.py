"""`adopt`: what waits goes to the new target, and nothing that speaks of the old one goes with it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import fakeredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SailpipeError, StaleClaim
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure, GateReason
from pipeline.mailbox.claim import Entry, Settlement
from pipeline.mailbox.reservations import Reservation
from pipeline.ownership import adopt as adopting
from pipeline.ownership.adopt import FORGOTTEN_FIELDS, adopt
from pipeline.ownership.change import Change
from pipeline.storage import keys
from pipeline.targets import Target
from tests.support.mailboxes import (
    FAR,
    Mailboxes,
    delivered,
    identify,
    letter,
    order,
    track,
    tried_again,
)

LIVE = Target("api.sailthru.com 1a2b-5f3c9e21ab00")


def ignore(_: int) -> None:
    """The progress is ignored."""


async def adopt_all(boxes: Mailboxes) -> None:
    await adopt(boxes.redis, "default", LIVE, ignore)
    boxes.store = boxes.process_of(LIVE.name)


async def memory(boxes: Mailboxes, user: str) -> dict[str, str]:
    found: Any = await boxes.redis.hgetall(keys.user("default", user))
    return {name.decode(): value.decode() for name, value in found.items()}


async def test_waiting_events_belong_to_the_new_target_and_keep_their_order(
    boxes: Mailboxes,
) -> None:
    """Mailboxes that were leased, claimed, waiting or retried are due at once; nothing is counted anew."""
    await boxes.post(
        *(track(f"m{n}", "ann") for n in range(3)), track("m9", "bob"), order("o1", "eve")
    )
    await boxes.lease_and_claim(Lane.EVENT, "ann")
    failed = await boxes.claim(Lane.EVENT, "bob")
    await boxes.store.settle(tried_again(failed, boxes.now_ms() + 60_000))
    waiting = await boxes.lease_and_claim(Lane.PURCHASE, "eve")
    far = boxes.now_ms() + 60_000
    await boxes.store.settle(Settlement(waiting, back=True, waits="email", due=far))
    before = await boxes.counts()
    await adopt_all(boxes)
    assert await boxes.counts() == before
    assert await boxes.leased(Lane.EVENT) == {}
    assert set((await boxes.wake(Lane.EVENT)).boxes) == {"ann", "bob"}
    claim = await boxes.claim(Lane.EVENT, "ann")
    assert [entry.id for entry in claim.entries] == ["m0", "m1", "m2"]
    assert (await boxes.claim(Lane.EVENT, "bob")).states == {}, "tries at the old target"
    assert (await boxes.wake(Lane.PURCHASE)).boxes == ("eve",)


async def test_a_stopped_import_begins_again_for_the_new_target(boxes: Mailboxes) -> None:
    """As repeats are told anew: what a trial took of a file was not sent to Sailthru."""
    await boxes.redis.set(keys.import_of("default", "digest"), "500 500 0")
    await adopt_all(boxes)
    assert await boxes.redis.exists(keys.import_of("default", "digest")) == 0


async def test_the_old_target_s_processes_are_left_without_a_claim(boxes: Mailboxes) -> None:
    """What they had in hand is delivered anew; what they learn of the old target is refused."""
    await boxes.post(identify("m1", "ann"), track("m2", "ann"))
    claim, old = await boxes.lease_and_claim(Lane.USER, "ann"), boxes.store
    await adopt_all(boxes)
    with pytest.raises(StaleClaim):
        await old.settle(delivered(claim, learn={"identified": "1", "merged": "[]"}, back=True))
    with pytest.raises(StaleClaim):
        await old.record_intent(claim, "{}")
    assert await old.renew([claim]) == [claim]
    leased = await old.wake(Lane.EVENT, bound=9, max_queue_length=FAR, own_tick=0)
    assert (leased.gate, leased.owner) == ("foreign", LIVE.name)
    assert "identified" not in await memory(boxes, "ann")


async def aliases(boxes: Mailboxes) -> dict[bytes, bytes]:
    found: Any = await boxes.redis.hgetall(keys.aliases("default", "0"))
    return dict(found)


async def test_who_is_who_is_kept_and_what_the_old_sailthru_knew_is_not(boxes: Mailboxes) -> None:
    """Learned emails and ids are true anywhere; merges, carts and deliveries are not."""
    visitor = identify("m0", anonymousId="a-1")
    await boxes.post(visitor, identify("m1", "ann", anonymousId="a-1", email="ann@example.com"))
    claim = await boxes.lease_and_claim(Lane.USER, "ann")
    learned = dict.fromkeys(FORGOTTEN_FIELDS, "1") | {"refused": '{"a@example.org": 1}'}
    await boxes.store.settle(
        delivered(claim, learn=learned, cart="[]", cart_keep_ms=60_000, cart_of="a@b.co", back=True)
    )
    assert len(await boxes.redis.keys("sailpipe:default:cart*")) == 2
    kept = {
        name: value for name, value in (await memory(boxes, "ann")).items() if name not in learned
    }
    assert kept["email"] == "ann@example.com"
    known = await aliases(boxes)
    assert set(known) == {b"anon:a-1", b"email:ann@example.com"}
    await adopt_all(boxes)
    assert await memory(boxes, "ann") == kept
    assert await aliases(boxes) == known
    assert await boxes.redis.keys("sailpipe:default:cart*") == []


async def test_what_ways_in_remember_of_the_old_sailthru_is_forgotten(boxes: Mailboxes) -> None:
    """Whom it has, and which confirmations went to it."""
    for key in (keys.once("default", "repeated_open", "x"), keys.found("default", "x")):
        await boxes.redis.set(key, "1")
        await adopt_all(boxes)
        assert not await boxes.redis.exists(key)


async def test_an_order_that_was_posted_to_the_old_sailthru_may_be_posted_to_the_new(
    boxes: Mailboxes,
) -> None:
    """Neither one that is posted nor one that a mailbox had reserved is known."""
    await boxes.post(order("m1", "ann"), order("m2", "bob"))
    await boxes.wake(Lane.PURCHASE)
    for user in ("ann", "bob"):
        claim = await boxes.claim(Lane.PURCHASE, user)
        asked = Reservation(f"order of {user}", "b1", 60_000)
        assert await boxes.store.record_intent(claim, "{}", asked) is None
        if user == "ann":
            await boxes.store.settle(delivered(claim, back=True))
    assert len(await boxes.redis.keys(keys.order("default", "*"))) == 2
    await adopt_all(boxes)
    assert await boxes.redis.keys(keys.order("default", "*")) == []
    assert not await boxes.redis.hexists(keys.mailbox_state("default", "purchase", "bob"), "order")


async def test_calls_that_were_about_to_be_made_are_forgotten(boxes: Mailboxes) -> None:
    """An intent, or a letter's, would have the new Sailthru asked for an order of the old one."""
    await boxes.post(order("m1", "ann"), order("m2", "bob"), order("m3", "eve"))
    first = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    await boxes.store.record_intent(first, "intent of ann")
    for user, name in (("bob", "m2"), ("eve", "m3")):
        claim = await boxes.claim(Lane.PURCHASE, user)
        await boxes.store.settle(
            replace(letter(claim, pending_intent=f"intent of {name}"), back=True)
        )
    await boxes.moves.replay(["m2"])
    await adopt_all(boxes)
    await boxes.moves.replay(["m3"])
    for user in ("ann", "bob", "eve"):
        await boxes.wake(Lane.PURCHASE)
        claim = await boxes.claim(Lane.PURCHASE, user)
        assert (claim.intent, claim.head.pending_intent) == ("", ""), user


async def test_letters_are_adopted_too(boxes: Mailboxes) -> None:
    """Each with its raw bytes; one that does not say where it died is the account's in any case."""
    await boxes.post(track("m1", "ann"), track("m2", "ann"))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    dies = letter(claim)
    [(position, name, header)] = dies.dead
    said = json.loads(header) | {"target": "sandbox", "calls": [{"params": {"n": 1e300, "x": []}}]}
    claim = await boxes.settle(replace(dies, dead=[(position, name, json.dumps(said))]))
    await boxes.store.settle(letter(claim))
    before = await boxes.dead()
    await adopt_all(boxes)
    assert await boxes.dead() == {
        "m1": before["m1"] | {"target": LIVE.name},
        "m2": before["m2"],
    }


async def test_gates_open_but_for_a_person_s_pause(boxes: Mailboxes) -> None:
    """The old Sailthru's outage, limits or wrong keys say nothing about the new one."""
    now = boxes.now_ms()
    closed: list[tuple[str, GateReason]] = [
        ("api", "circuit"),
        ("event", "brake"),
        ("account", "misconfigured"),
    ]
    for scope, reason in closed:
        await boxes.gates.close(Closure(scope, reason, 0, now))
    await boxes.gates.close(Closure("event", "paused", 0, now))
    await adopt_all(boxes)
    assert [(closure.scope, closure.reason) for closure in await boxes.gates.all_closures(now)] == [
        ("event", "paused")
    ]


async def test_what_the_trial_sent_can_be_sent_again(boxes: Mailboxes) -> None:
    """A messageId is a repeat only of what the same target was sent."""
    await boxes.post(track("m1", "ann"))
    await boxes.store.settle(delivered(await boxes.lease_and_claim(Lane.EVENT, "ann"), back=True))
    await adopt_all(boxes)
    await boxes.post(track("m1", "ann"))
    assert await boxes.counts() == {"delivered": 1, "waiting:event": 1}


async def test_a_mailbox_with_strikes_is_still_leased_singly(boxes: Mailboxes) -> None:
    """The events are the same, and may kill the process that maps them again."""
    await boxes.post(track("m1", "ann"), track("m2", "ann"))
    for _ in range(2):
        await boxes.die(Lane.EVENT, "ann")
    await boxes.wake(Lane.EVENT, bound=0)
    await adopt_all(boxes)
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    assert (claim.strikes, len(claim.entries)) == (2, 1)


async def test_no_process_delivers_until_adopt_has_ended(boxes: Mailboxes) -> None:
    """Half an adoption would let the new target see carts and intents of the old one. It is run again."""
    await boxes.post(track("m1", "ann"), track("m2", "bob"))
    await boxes.wake(Lane.EVENT, bound=1)
    change = Change(boxes.redis, "default", "adopt")
    await change.begin()
    for target in ("sandbox", LIVE.name):
        store = boxes.process_of(target)
        leased = await store.wake(Lane.EVENT, bound=9, max_queue_length=FAR, own_tick=0)
        assert (leased.gate, leased.owner) == ("foreign", "adopt/sandbox")
        assert await store.claim(Lane.EVENT, "ann", most=1) is None
    await adopt_all(boxes)
    boxes.clock.advance(1)
    assert set((await boxes.wake(Lane.EVENT)).boxes) == {"ann", "bob"}


async def test_adopt_gives_way_to_a_reset(boxes: Mailboxes) -> None:
    """What is half gone is not taken over; and of two that end, the one that came later has its way."""
    await Change(boxes.redis, "default", "reset").begin()
    with pytest.raises(SailpipeError, match="reset"):
        await adopt_all(boxes)
    await boxes.redis.delete(keys.target("default"))
    first = Change(boxes.redis, "default", "adopt")
    await first.begin()
    await Change(boxes.redis, "default", "reset").begin()
    with pytest.raises(SailpipeError, match="changed meanwhile"):
        await first.end(LIVE)


MAILS = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.booleans(), max_size=9), max_size=6)


@given(mails=MAILS, most=st.integers(1, 7))
@settings(max_examples=60)
async def test_mailboxes_of_any_size_keep_every_event_and_lose_every_intent(
    mails: dict[str, list[bool]], most: int
) -> None:
    """Each entry is looked at once, however few are looked at in one step."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis())
    expected = {}
    for user, marks in mails.items():
        entries = [
            Entry(
                f"{user}{n}",
                f"{n + 1}-0",
                n + 1,
                n + 1,
                b"raw\n%d" % n,
                first=1,
                pending_intent="m" * marked,
            )
            for n, marked in enumerate(marks)
        ]
        for entry in entries:
            await boxes.redis.rpush(keys.mail("default", Lane.EVENT, user), entry.encode())
            await boxes.redis.zadd(keys.due("default", Lane.EVENT), {user: boxes.now_ms() + 1})
        expected[user] = [(one.id, one.seq, one.first, "", one.raw) for one in entries]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adopting, "MAX_ENTRIES", most)
        await adopt(boxes.redis, "default", LIVE, ignore)
    for user in mails:
        blobs: Any = await boxes.redis.lrange(keys.mail("default", Lane.EVENT, user), 0, -1)
        found = [Entry.decode(blob) for blob in blobs]
        assert [
            (one.id, one.seq, one.first, one.pending_intent, one.raw) for one in found
        ] == expected[user]
