"""A script keeps Redis from everybody else: what one batch sets off is bounded, however much waits for it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.models import Lane
from pipeline.settings import AccountSettings
from pipeline.splitter.entries import ActionKind, DedupeKey, RoutedEntry, SplitAction
from pipeline.splitter.stream import MAX_WORK, parts
from pipeline.storage import keys
from pipeline.storage.numbers import RAW_READ_BYTES, RECALLED_LETTERS
from pipeline.storage.scripts import Scripts
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
    await boxes.post(*(track(f"t{n}", "ann", context=SHOWN) for n in range(100)))
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


LARGE = "x" * 32_000


@pytest.mark.parametrize("stream", [keys.RAW, keys.HELD])
async def test_what_is_read_of_a_stream_at_a_time_is_bounded_in_bytes(
    boxes: Mailboxes, stream: str
) -> None:
    """500 entries of 32 kB are 16 MB, and took Redis 25 ms and more: `status`, `reset`, and what gives held ones back."""
    async with boxes.redis.pipeline(transaction=False) as pipe:
        for _ in range(100):
            pipe.xadd(stream, {"event": LARGE, "account": "nobody", "held": boxes.now_ms()})
        await pipe.execute()
    scripts, most = Scripts(boxes.redis, "pipeline.status"), RAW_READ_BYTES // len(LARGE)
    _, _, counted = await scripts.run("raw", [stream], ["-", 500])
    assert counted == most
    _, gone = await scripts.run("pipeline.ownership/cull", [stream], ["default", "-", "+", 500])
    assert gone == most
    rest = ["", "-", 500, 1_000_000_000, "over", "nobody"]
    await scripts.run("pipeline.splitter/release", [stream, "sailpipe:other"], rest)
    assert await boxes.redis.xlen("sailpipe:other") == most


async def test_a_batch_that_links_much_is_moved_by_several_scripts(boxes: Mailboxes) -> None:
    """200 people of whom all is new kept Redis for 24 ms."""
    people = [
        {"type": "identify", "messageId": f"m{n}", "userId": f"u{n}", "anonymousId": f"a{n}"}
        | {"traits": {"email": f"u{n}@example.com"}}
        for n in range(200)
    ]
    await boxes.accept(*people)
    await boxes.redis.config_resetstat()
    assert await boxes.split() == 200
    stats: dict[str, Any] = await boxes.redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] > 2 + 2
    assert len(await boxes.due(Lane.USER)) == 200


KEY = DedupeKey("sailpipe:default:", "m1", "1", 0, replay=False)


@given(st.lists(st.integers(0, 5)))
def test_the_parts_of_a_batch_are_the_batch_in_order_and_none_is_much_work(
    aliases: list[int],
) -> None:
    """An entry is in one part, and a part is as much as one script may do, or one entry."""
    batch = [
        RoutedEntry(str(n), SplitAction(KEY, ActionKind.IGNORED, aliases=(("anon:a", "u"),) * many))
        for n, many in enumerate(aliases * 40)
    ]
    found = list(parts(batch))
    assert [one for part in found for one in part] == batch
    work = [sum(1 + len(one.action.aliases) for one in part) for part in found]
    assert max(work) <= MAX_WORK
    assert all(one + other > MAX_WORK for one, other in itertools.pairwise(work))
