"""Where ids and emails lead: many in one hash, found again however many there are, and forgotten in time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import fakeredis
import pytest
import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events.models import Lane
from pipeline.settings import AccountSettings
from pipeline.splitter.aliases import forget_old_aliases
from pipeline.storage import keys
from pipeline.storage.numbers import ALIASES_A_BUCKET, SWEEPS
from tests.support.mailboxes import Mailboxes, identify, order, track

DAY_S = 86_400.0
COMPACT = {b"listpack", b"ziplist"}
"""What Redis calls its encoding of small hashes, and called it before 7."""
names = st.text(
    st.characters(exclude_categories=["C"], exclude_characters="\N{REPLACEMENT CHARACTER}"),
    min_size=1,
    max_size=80,
)
"""An id with a broken character is refused."""


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


async def sizes(client: redis.asyncio.Redis) -> dict[str, int]:
    table: Any = await client.hgetall(keys.alias_table("default"))
    return {name.decode(): int(value) for name, value in table.items()}


async def link(boxes: Mailboxes, start: int, end: int) -> None:
    """Visitors who sign in."""
    for first in range(start, end, 200):
        numbers = range(first, min(first + 200, end))
        await boxes.post(
            *(track(f"m{n}", f"user-{n}", anonymousId=f"visitor-{n}") for n in numbers)
        )


async def test_an_alias_is_found_among_thousands_and_the_hashes_stay_compact(
    client: redis.asyncio.Redis,
) -> None:
    """They grow with the names, one at a time; Redis keeps a small hash in a third of the memory."""
    boxes, many = Mailboxes(client), 50 * ALIASES_A_BUCKET
    await link(boxes, 0, many)
    found = await sizes(client)
    assert (found["names"], found["buckets"]) == (many, 50)
    hashes = [keys.aliases("default", str(n)) for n in range(50)]
    assert sum([await client.hlen(one) for one in hashes]) == many
    assert {await client.object("encoding", one) for one in hashes} <= COMPACT
    for number in range(0, many, 97):
        await boxes.post(track(f"later-{number}", anonymousId=f"visitor-{number}"))
        assert (await boxes.mail(Lane.EVENT, f"user-{number}"))[-1] == f"later-{number}"


@settings(max_examples=25)
@given(ids=st.lists(st.tuples(names, names), min_size=1, max_size=60, unique_by=lambda one: one[0]))
async def test_whatever_an_id_is_made_of_it_leads_where_it_was_said_to(
    ids: list[tuple[str, str]],
) -> None:
    """Colons, blanks, emoji, or eighty characters."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis(), AccountSettings(shared_ids=frozenset()))
    pairs = [(f"a {visitor}.", f"u {user}.") for visitor, user in ids]
    await boxes.post(*(track(f"m{n}", u, anonymousId=a) for n, (a, u) in enumerate(pairs)))
    await boxes.post(*(track(f"n{n}", anonymousId=a) for n, (a, _) in enumerate(pairs)))
    waiting = {user for _, user in pairs}
    assert set(await boxes.due(Lane.EVENT)) == waiting


async def test_who_is_who_is_forgotten_when_nothing_has_said_it_for_long(
    client: redis.asyncio.Redis,
) -> None:
    """And what was said again since is not. A call looks at a part, and all of them at everything."""
    boxes = Mailboxes(client, AccountSettings(memory_keep=30 * DAY_S))
    await link(boxes, 0, 300)
    boxes.clock.advance(20 * DAY_S)
    await link(boxes, 100, 200)

    async def sweep() -> int:
        gone = 0
        for _ in range((await sizes(client))["buckets"]):
            gone += await forget_old_aliases(client, "default", 30 * DAY_S, time_ms=boxes.now_ms)
        return gone

    assert await sweep() == 0
    boxes.clock.advance(11 * DAY_S)
    assert await sweep() == 200
    assert (await sizes(client))["names"] == 100
    await boxes.post(track("n1", anonymousId="visitor-100"), track("n2", anonymousId="visitor-99"))
    assert set(await boxes.due(Lane.EVENT)) & {"visitor-100", "visitor-99"} == {"visitor-99"}
    assert SWEEPS == 24 * 60, "a call a minute"


async def test_nothing_is_written_for_an_account_that_knows_no_one(
    client: redis.asyncio.Redis,
) -> None:
    """A hundred idle accounts cost no key."""
    assert await forget_old_aliases(client, "default", DAY_S) == 0
    assert await client.keys() == []


async def test_a_visitor_with_an_owner_takes_no_second_hash(client: redis.asyncio.Redis) -> None:
    """The email is the user's to remember. Sightings end by themselves after a day."""
    boxes = Mailboxes(client)
    await boxes.post(identify("m1", "ann", anonymousId="a", email="ann@example.com"))
    await boxes.post(identify("m2", anonymousId="b", email="ann@example.com"))
    assert await client.keys(keys.user("default", "*")) == [keys.user("default", "ann").encode()]
    assert await client.hkeys(keys.user("default", "ann")) == [
        b"email",
        b"email_strength",
        b"email_at",
    ]
    for who in ("ann", "a", "b"):
        assert 0 < await client.pttl(keys.seen("default", who)) <= DAY_S * 1000


async def test_what_a_visitor_s_mailbox_waits_for_comes_with_the_owner_s_email(
    client: redis.asyncio.Redis,
) -> None:
    """Though its own hash is not kept: an order placed before the visitor was known needs the email there."""
    boxes = Mailboxes(client)
    await boxes.post(order("o1", anonymousId="b"))
    await boxes.post(identify("m1", "ann", email="ann@example.com"))
    await boxes.post(identify("m2", anonymousId="b", email="ann@example.com"))
    memory: Any = await client.hgetall(keys.user("default", "b"))
    assert memory[b"email"] == b"ann@example.com"


@pytest.mark.parametrize("shown_since", ["", "other@example.com"])
async def test_a_visitor_follows_who_owns_its_email_days_after_it_showed_it(
    client: redis.asyncio.Redis, shown_since: str
) -> None:
    """Its sightings are over by then. The email that is remembered of it says which it showed last."""
    boxes = Mailboxes(client)
    await boxes.post(identify("m1", anonymousId="a", email="ann@example.com"))
    if shown_since:
        await boxes.post(identify("m2", anonymousId="a", email=shown_since))
    await client.delete(keys.seen("default", "a"))
    boxes.clock.advance(3 * DAY_S)
    await boxes.post(identify("m3", "ann", email="ann@example.com"), track("m4", anonymousId="a"))
    owner = "a" if shown_since else "ann"
    assert await boxes.mail(Lane.EVENT, owner) == ["m4"]


async def test_the_email_that_a_visitors_order_is_handed_is_as_strong_as_its_users(
    boxes: Mailboxes,
) -> None:
    """Weaker evidence replaces it no more than it would the user's own."""
    await boxes.post(order("o1", anonymousId="v1"))
    await boxes.post(identify("i1", "ann", email="ann@example.com"))
    await boxes.post(identify("i2", "ann", anonymousId="v1"))
    memories = [
        await boxes.redis.hmget(keys.user("default", user), "email", "email_strength", "email_at")
        for user in ("ann", "v1")
    ]
    assert memories[0] == memories[1]
    assert memories[0][0] == b"ann@example.com"
