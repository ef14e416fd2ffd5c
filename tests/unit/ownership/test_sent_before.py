"""`adopt --sent-before`: what another program has sent is left out, and is a repeat when it comes again."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SailpipeError
from pipeline.events.models import Lane
from pipeline.mailbox.claim import Entry, Settlement
from pipeline.mailbox.reservations import Reservation
from pipeline.ownership import adopt as adopting
from pipeline.ownership.adopt import adopt, count_before
from pipeline.storage import keys
from pipeline.targets import Target
from tests.support.mailboxes import Mailboxes, order, track

LIVE = Target("api.sailthru.com 1a2b-5f3c9e21ab00")


def ignore(_: int) -> None:
    """The progress is ignored."""


async def take_over(boxes: Mailboxes, before: int) -> int:
    gone = await adopt(boxes.redis, "default", LIVE, ignore, sent_before=before)
    boxes.store = boxes.process_of(LIVE.name)
    return gone


async def test_what_came_before_is_removed_and_what_came_after_is_delivered(
    boxes: Mailboxes,
) -> None:
    """Also from a mailbox that a process has, and from one that waits for an email. All of it is counted."""
    await boxes.post(track("m1", "ann"), track("m2", "bob"), order("o1", "eve"))
    waiting = await boxes.lease_and_claim(Lane.PURCHASE, "eve")
    far = boxes.now_ms() + 60_000
    await boxes.store.settle(Settlement(waiting, back=True, waits="email", due=far))
    await boxes.lease_and_claim(Lane.EVENT, "bob")
    boxes.clock.advance(10)
    then = boxes.now_ms()
    await boxes.post(track("m3", "ann"), track("m4", "zoe"))
    assert await count_before(boxes.redis, "default", then) == 3
    assert await take_over(boxes, then) == 3
    assert await boxes.counts() == {"waiting:event": 2, "removed": 3}
    assert await boxes.mail(Lane.EVENT, "ann") == ["m3"]
    assert set((await boxes.wake(Lane.EVENT)).boxes) == {"ann", "zoe"}
    assert (await boxes.wake(Lane.PURCHASE)).boxes == ()
    assert await boxes.redis.exists(keys.mailbox_state("default", Lane.PURCHASE, "eve")) == 0


async def test_a_repeat_of_what_was_sent_is_dropped(boxes: Mailboxes) -> None:
    """An adoption without a time forgets these ids: a trial has sent nothing."""
    await boxes.post(track("m1", "ann"), track("m2", "ann"))
    await take_over(boxes, boxes.now_ms() + 1)
    await boxes.post(track("m1", "ann"))
    assert (await boxes.counts())["duplicates"] == 1


async def test_an_order_that_was_sent_is_known_and_one_that_was_begun_is_not(
    boxes: Mailboxes,
) -> None:
    """A page that shows the first one once more makes no second purchase. The other waits for no mailbox that is gone."""
    key = keys.order("default", "o-1")
    await boxes.redis.hset(key, mapping={"b1": "=", "b2": "@ann", "waiter": "bob"})
    await boxes.post(order("o1", "ann"))
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    await boxes.store.record_intent(claim, "{}", Reservation("o-2", "f" * 16, 60_000))
    assert await boxes.redis.exists(keys.order("default", "o-2"))
    await take_over(boxes, boxes.now_ms() + 1)
    known: Any = await boxes.redis.hgetall(key)
    assert known == {b"b1": b"="}
    assert await boxes.redis.hgetall(keys.order("default", "o-2")) == {}


async def test_nothing_is_begun_while_events_of_before_are_not_split(boxes: Mailboxes) -> None:
    """They would be delivered afterwards."""
    await boxes.accept(track("m1", "ann"))
    with pytest.raises(SailpipeError, match="splitter"):
        await take_over(boxes, boxes.now_ms() + 1)
    assert await boxes.redis.get(keys.target("default")) is None
    await boxes.split()
    assert await take_over(boxes, boxes.now_ms() + 1) == 1


async def test_nothing_is_begun_while_events_of_the_account_are_held(boxes: Mailboxes) -> None:
    """They come back to the raw stream with the time at which they do, and would look as if they had come since."""
    for account in ("another", "default"):
        sid: Any = await boxes.redis.xadd(keys.HELD, {"event": "{}", "account": account})
        if account == "another":
            assert await take_over(boxes, boxes.now_ms() + 1) == 0
    with pytest.raises(SailpipeError, match="held"):
        await take_over(boxes, boxes.now_ms() + 1)
    await boxes.redis.xdel(keys.HELD, sid)
    assert await take_over(boxes, boxes.now_ms() + 1) == 0


@given(
    mails=st.dictionaries(
        st.sampled_from("abc"), st.lists(st.integers(1, 9), min_size=1, max_size=9), min_size=1
    ),
    before=st.integers(1, 10),
    most=st.integers(1, 4),
)
@settings(max_examples=60)
async def test_mailboxes_of_any_size_keep_what_is_newer(
    mails: dict[str, list[int]], before: int, most: int
) -> None:
    """However few entries are looked at in one step, and in whichever order they lie."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis())
    for user, times in mails.items():
        for n, at in enumerate(times):
            entry = Entry(f"{user}{n}", f"{at}-{n}", at, at, b"raw")
            await boxes.redis.rpush(keys.mail("default", Lane.EVENT, user), entry.encode())
        await boxes.redis.zadd(keys.due("default", Lane.EVENT), {user: boxes.now_ms()})
    old = sum(at < before for times in mails.values() for at in times)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adopting, "MAX_ENTRIES", most)
        assert await count_before(boxes.redis, "default", before) == old
        assert await take_over(boxes, before) == old
    for user, times in mails.items():
        left = [f"{user}{n}" for n, at in enumerate(times) if at >= before]
        assert await boxes.mail(Lane.EVENT, user) == left
    assert await boxes.redis.zcard(keys.due("default", Lane.EVENT)) == sum(
        max(times) >= before for times in mails.values()
    )
