"""What a batch is: how much is read with the lease, and what is asked about it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from pipeline.events.models import Lane
from pipeline.splitter.stream import BATCH, RawStream
from pipeline.storage import keys
from tests.support.mailboxes import Mailboxes, identify, track

LARGE = "x" * 30_000


@pytest.fixture
async def boxes(redis_url: str) -> AsyncIterator[Mailboxes]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield Mailboxes(client)


async def batch(boxes: Mailboxes) -> list[bytes]:
    """The ids of the entries that come with the lease."""
    stream = RawStream(boxes.redis, "first")
    assert await stream.hold()
    return [sid for sid, _ in await stream.batch()]


async def test_a_batch_holds_the_oldest_entries_and_no_more_than_a_script_may_read(
    boxes: Mailboxes,
) -> None:
    """200 small ones, or 1 MB of large ones; one that is larger than that comes alone."""
    small = [await boxes.accept_raw({"event": "{}"}) for _ in range(BATCH + 5)]
    assert await batch(boxes) == [sid.encode() for sid in small[:BATCH]]
    await boxes.redis.delete(keys.RAW)
    large = [await boxes.accept_raw({"event": LARGE, "more": "y"}) for _ in range(40)]
    assert await batch(boxes) == [sid.encode() for sid in large[: 1_000_000 // len(LARGE)]]
    await boxes.redis.delete(keys.RAW)
    huge = [await boxes.accept_raw({"event": LARGE * 40}) for _ in range(2)]
    assert await batch(boxes) == [huge[0].encode()]


async def test_all_events_of_a_stream_of_large_ones_are_split_in_order(boxes: Mailboxes) -> None:
    names = [f"m{n}" for n in range(70)]
    await boxes.accept(*(track(name, "ann", properties={"x": LARGE}) for name in names))
    while await boxes.split():
        pass
    assert await boxes.mail(Lane.EVENT, "ann") == names


async def test_a_batch_costs_three_scripts_and_no_other_command(boxes: Mailboxes) -> None:
    """The lease with the entries, what is known of them, and the split: whoever is new, up to the work of one script."""
    await boxes.post(identify("m0", "ann", anonymousId="a", email="ann@example.org"))
    await boxes.accept(
        *(
            identify(f"m{n}", f"u{n}", anonymousId=f"a{n}", email=f"u{n}@x.com")
            for n in range(1, 51)
        )
    )
    await boxes.redis.config_resetstat()
    assert await boxes.split() == 50
    stats = await boxes.redis.info("commandstats")
    assert (stats["cmdstat_evalsha"]["calls"], "cmdstat_xread" in stats) == (3, False)
