"""A script keeps Redis from everybody else: what one batch sets off is bounded, however much waits for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio

from pipeline.events.models import Lane
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from pipeline.storage.numbers import RECALLED_LETTERS
from tests.support.mailboxes import Mailboxes, delivered, letter, order, track

SHOWN = {"traits": {"email": "ann@example.com"}}


@pytest.fixture
async def boxes(redis_url: str) -> AsyncIterator[Mailboxes]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield Mailboxes(client, AccountSettings())


async def bury_orders(boxes: Mailboxes, user: str, orders: int) -> None:
    """So many orders of a user die for want of an email."""
    for start in range(0, orders, 100):
        names = [f"{user}-{number}" for number in range(start, min(start + 100, orders))]
        await boxes.post(*(order(name, user) for name in names))
        while user in (await boxes.wake(Lane.PURCHASE)).boxes:
            claim = await boxes.claim(Lane.PURCHASE, user)
            while claim.entries:
                died = letter(claim, reason="missing_email")
                claim = await boxes.settle(replace(died, back=len(claim.entries) == 1))


async def waiting_letters(boxes: Mailboxes, user: str) -> int:
    return int(await boxes.redis.zcard(keys.dead_for_email("default", user)))


async def test_a_batch_that_shows_an_email_often_brings_a_bounded_number_of_letters_back(
    boxes: Mailboxes,
) -> None:
    """Each of its events would bring some; 20,000 in one script took Redis seconds. The rest follows these."""
    orders = 3 * RECALLED_LETTERS
    await bury_orders(boxes, "ann", orders)
    await boxes.post(*(track(f"t{n}", "ann", context=SHOWN) for n in range(150)))
    assert await waiting_letters(boxes, "ann") == orders - RECALLED_LETTERS
    sent = 0
    while "ann" in (await boxes.wake(Lane.PURCHASE)).boxes:
        claim = await boxes.claim(Lane.PURCHASE, "ann")
        sent += len(claim.entries)
        await boxes.settle(delivered(claim, len(claim.entries), back=True))
    assert (sent, await waiting_letters(boxes, "ann")) == (orders, 0)


async def test_a_batch_that_shows_many_emails_brings_a_letter_of_each_back(
    boxes: Mailboxes,
) -> None:
    """One that is delivered brings the others of its user back."""
    users = [f"u{n}" for n in range(RECALLED_LETTERS // 2)]
    for user in users:
        await bury_orders(boxes, user, 4)
    await boxes.post(*(track(f"t-{user}", user, context=SHOWN) for user in users))
    left = Counter({user: await waiting_letters(boxes, user) for user in users})
    assert max(left.values()) == 3
    assert left.total() >= 4 * len(users) - RECALLED_LETTERS - len(users)


async def test_the_thousandth_letter_of_one_id_costs_what_the_tenth_does(boxes: Mailboxes) -> None:
    """A producer that sends a constant as messageId, and nothing that could be delivered."""
    boxes, costs = Mailboxes(boxes.redis, AccountSettings(dedupe_window=0.0)), []
    for _ in range(6):
        await boxes.accept(*({"messageId": "undefined", "type": "?"} for _ in range(200)))
        await boxes.redis.config_resetstat()
        await boxes.split()
        stats: dict[str, Any] = await boxes.redis.info("commandstats")
        costs.append(sum(int(one["calls"]) for one in stats.values()))
    assert len(await boxes.dead()) == 1200
    assert max(costs[1:]) <= min(costs[1:]) + 10
