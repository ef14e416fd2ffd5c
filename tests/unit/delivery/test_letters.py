"""What a dead letter's header says of its event, for those who trim and replay."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.mailbox.claim import Entry
from tests.support.fake_sailthru import REFUSED
from tests.support.pipe import Pipe, added, identify, order, track

REFUND = track("u1", "Order Refunded", order_id="o1", total=12.5, email="u1@example.org")


@pytest.mark.parametrize(
    ("event", "bucket", "is_order"),
    [
        (order("u1", "o1"), "POST /purchase", True),
        (REFUND, "POST /return", True),
        (added("u1"), "POST /purchase", False),
        (track("u1"), "POST /event", False),
        (identify("u1"), "POST /user", False),
    ],
    ids=["order", "refund", "cart", "custom event", "identify"],
)
async def test_a_letter_says_whether_it_holds_an_order(
    pipe: Pipe, event: dict[str, Any], bucket: str, is_order: bool
) -> None:
    """Orders and refunds are trimmed last; carts share their lane and are not spared."""
    pipe.sailthru.trouble(REFUSED, on=bucket)
    await pipe.post(event)
    await pipe.run(60)
    [letter] = await pipe.letters()
    assert letter.header.order is is_order


@pytest.mark.parametrize(("event", "may_be"), [(added("u1"), True), (track("u1"), False)])
async def test_a_letter_of_an_event_that_was_never_read_may_be_an_order_by_its_lane(
    pipe: Pipe, event: dict[str, Any], may_be: bool
) -> None:
    """It killed each process that took it up, so it is not parsed again."""
    pipe.sailthru.trouble(None)
    await pipe.post(event)
    await pipe.run(600)
    [letter] = await pipe.letters()
    assert letter.header.reason == "poison"
    assert letter.header.order is may_be


async def test_a_letter_and_its_replay_keep_the_key_of_the_event(pipe: Pipe) -> None:
    """It tells the letter from others of the same messageId."""
    pipe.sailthru.trouble(REFUSED, on="POST /purchase", times=1)
    await pipe.post(added("u1"))
    await pipe.run(60)
    [letter] = await pipe.letters()
    await pipe.pause("purchase")
    await pipe.moves.replay([letter.id])
    [blob] = await pipe.redis.lrange("sailpipe:default:mail:purchase:u1", 0, -1)
    assert Entry.decode(blob).key == letter.header.key != ""
