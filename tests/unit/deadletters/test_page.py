"""A page of dead letters has an end in bytes as well: a header holds the calls that were made."""

from __future__ import annotations

from dataclasses import replace

import fakeredis

from pipeline.deadletters.filters import Filter
from pipeline.deadletters.store import DeadLetters
from pipeline.events.models import Lane
from pipeline.storage import keys
from pipeline.storage.numbers import PAGE_BYTES
from tests.support.mailboxes import Mailboxes, letter, track

LETTERS = 40
DETAIL = "x" * (PAGE_BYTES // 10)


async def test_all_letters_are_found_though_a_page_holds_few_of_them() -> None:
    """They all died in one millisecond, so that each page begins with those that were read."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis())
    await boxes.post(*(track(f"m{number}", "ann") for number in range(LETTERS)))
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    while claim.entries:
        died = letter(claim)
        (place, identity, header), *_ = died.dead
        long = header[:-1] + f',"detail":"{DETAIL}"' + "}"
        last = len(claim.entries) == 1
        claim = await boxes.settle(replace(died, dead=[(place, identity, long)], back=last))
    replies: list[int] = []
    store = DeadLetters(boxes.redis, "default")
    run = store._scripts.run

    async def measured(name: str, names: list[str], args: list[object]) -> list[bytes]:
        reply: list[bytes] = await run(name, names, args)
        replies.append(sum(map(len, reply)))
        return reply

    store._scripts.run = measured  # type: ignore[method-assign,assignment]
    found = [one.id async for one in store.scan(Filter())]
    assert len(found) == len(set(found)) == LETTERS == await boxes.redis.hlen(keys.dead("default"))
    assert len(replies) > 2
