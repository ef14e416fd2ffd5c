"""Dedupe: no repeat inside the window gets through, whatever the sets behind it do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import fakeredis
import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st

from pipeline.splitter.triage import dedupe_hash
from tests.support.dedupe import START_MS, WINDOW_MS, Dedupe
from tests.support.mailboxes import Mailboxes


@pytest.fixture
async def dedupe(redis_url: str) -> AsyncIterator[Dedupe]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield Dedupe(client)


async def test_every_duplicate_is_found_however_often_the_sets_split(dedupe: Dedupe) -> None:
    """40,000 hashes make a hundred sets of one: each is still found, and no new one is."""
    ids = [f"event-{n}" for n in range(40_000)]
    assert await dedupe.duplicates(ids) == 0
    assert await dedupe.duplicates(ids) == len(ids)
    assert await dedupe.duplicates([f"other-{n}" for n in range(1000)]) == 0


async def test_no_set_outgrows_the_compact_encoding(dedupe: Dedupe) -> None:
    """Integer sets cost eight bytes a hash only up to 512 members."""
    await dedupe.duplicates([f"event-{n}" for n in range(5_000)])
    sets = [key async for key in dedupe.redis.scan_iter("*dedupe:*:*:*")]
    assert len(sets) > 8
    assert {await dedupe.redis.object("encoding", key) for key in sets} == {b"intset"}


async def test_a_repeat_is_found_until_the_window_ends_and_not_for_ever(dedupe: Dedupe) -> None:
    """For any place in a slice: known for the whole window, forgotten a slice later."""
    quarter = WINDOW_MS // 4
    for offset in (0, 1, quarter // 2, quarter - 1):
        dedupe.now = START_MS + 10 * WINDOW_MS + offset
        name = [f"event at {offset}"]
        assert await dedupe.duplicates(name) == 0
        for age in (1, quarter, WINDOW_MS - quarter, WINDOW_MS - 1, WINDOW_MS):
            dedupe.now = START_MS + 10 * WINDOW_MS + offset + age
            assert await dedupe.duplicates(name) == 1
        dedupe.now = START_MS + 10 * WINDOW_MS + offset + WINDOW_MS + quarter
        assert await dedupe.duplicates(name) == 0
        await dedupe.redis.flushdb()


async def test_what_is_remembered_lives_for_the_window(dedupe: Dedupe) -> None:
    """Redis drops the sets by itself, never before the youngest hash in them is too old."""
    await dedupe.duplicates([f"event-{n}" for n in range(2_000)])
    async for key in dedupe.redis.scan_iter("*dedupe*"):
        assert WINDOW_MS * 1.25 <= await dedupe.redis.pttl(key) <= WINDOW_MS * 1.5


async def test_a_clock_set_back_over_a_slice_hides_nothing(dedupe: Dedupe) -> None:
    """A second back may be the slice before: what the next one holds still counts."""
    assert await dedupe.duplicates(["m1"]) == 0
    dedupe.now -= 1000
    assert await dedupe.duplicates(["m1"]) == 1


async def test_an_event_that_died_is_remembered_as_any_other() -> None:
    """An invalid event sent twice is one dead letter."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis())
    nonsense = {"messageId": "m1", "type": "nonsense", "event": "x"}
    await boxes.post(nonsense, nonsense)
    await boxes.post(nonsense, {"messageId": "m1", "type": "nonsense", "event": "y"})
    assert await boxes.counts() == {"dead:invalid_event": 2, "duplicates": 2}


PARTS = st.text(max_size=3)


@given(first=st.tuples(PARTS, PARTS, PARTS), second=st.tuples(PARTS, PARTS, PARTS))
def test_a_dedupe_key_takes_in_the_message_id_the_type_and_the_name(
    first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    """The three are kept apart: `ab`, `c` is not `a`, `bc`."""
    assert (dedupe_hash(*first) == dedupe_hash(*second)) == (first == second)


@pytest.mark.parametrize(
    ("parts", "hashed"),
    [
        (("m1", "track", "Order Completed"), "-8029621451285350905"),
        (("", "", ""), "7215754328872635591"),
        (('\u00e9"\\\u2028\U0001f600\x7f', "page", ""), "3138914919370018522"),
    ],
)
def test_a_dedupe_hash_is_the_same_in_every_version(
    parts: tuple[str, str, str], hashed: str
) -> None:
    """Redis, dead letters and exported files remember it."""
    assert dedupe_hash(*parts) == hashed


def test_hashes_have_64_bits_in_the_form_redis_keeps_in_eight_bytes() -> None:
    """A false duplicate is a lost event: signed 64-bit integers, spread over all of them."""
    hashes = [int(dedupe_hash(f"m{n}", "track", "E")) for n in range(10_000)]
    assert len(set(hashes)) == len(hashes)
    assert min(hashes) < -(2**62) < 2**62 < max(hashes)
    assert all(-(2**63) <= value < 2**63 for value in hashes)
