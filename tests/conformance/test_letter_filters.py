"""Filters, pages and counts of dead letters against a plain list, on any store, in a fake and in a real Redis."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import fakeredis
import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.deadletters import reading
from pipeline.deadletters.filters import Cursor, Filter
from pipeline.deadletters.letter import Header, Letter
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.storage import keys
from tests.support.letters import bury

LANES = ["", Lane.EVENT, Lane.PURCHASE]
REASONS = [Reason.REJECTED, Reason.TOO_OLD]
USERS = ["", "ann", "bob"]
EVENTS = [None, "Signed Up", "Order Completed"]
TIMES = st.integers(1_000, 1_004)
NAMES = st.text("ab\N{LATIN SMALL LETTER U WITH DIAERESIS}~.", min_size=1, max_size=4)
"""Ids that sort by byte otherwise than by letter, and begin with one another."""


def header(lane: str, reason: str, user: str, event: str | None, died_at: int) -> Header:
    endpoint = (
        {Lane.EVENT: "POST /event", Lane.PURCHASE: "POST /purchase"}.get(Lane(lane))
        if lane
        else None
    )
    return Header(
        account="default",
        lane=lane,
        user=user,
        event=event,
        reason=reason,
        endpoint=endpoint,
        error=99 if endpoint else None,
        first_seen_ms=died_at - 500,
        died_at=died_at,
        calls=[
            {"method": "POST", "endpoint": endpoint, "params": {"id": user, "vars": {"a" * 90: 1}}}
        ],
    )


HEADERS = st.builds(
    header,
    st.sampled_from(LANES),
    st.sampled_from(REASONS),
    st.sampled_from(USERS),
    st.sampled_from(EVENTS),
    TIMES,
)
STORES = st.dictionaries(NAMES, HEADERS, max_size=12)
FILTERS = st.builds(
    Filter,
    reason=st.none() | st.sampled_from(REASONS),
    lane=st.none() | st.just(Lane.EVENT),
    user=st.none() | st.sampled_from(USERS[1:]),
    since_ms=st.none() | TIMES,
    until_ms=st.none() | TIMES,
    endpoint=st.none() | st.sampled_from(["/event", "POST /purchase"]),
    code=st.none() | st.just(99),
    event=st.none() | st.just("signed up"),
    match=st.none() | st.sampled_from(["ANN", "completed"]),
)


def plain(letters: Sequence[Letter], wanted: Filter) -> list[str]:
    """What the store should answer: newest first, of one millisecond the largest id first."""
    ordered = sorted(letters, key=lambda one: (one.header.died_at, one.id.encode()), reverse=True)
    return [one.id for one in ordered if wanted.matches(one)]


async def compare(
    client: redis.asyncio.Redis, headers: dict[str, Header], wanted: Filter, limit: int
) -> None:
    await client.flushall()
    await bury(client, "default", headers.items())
    letters = DeadLetters(client, "default")
    # One whose id is free no more has another.
    stored: Any = await client.hkeys(keys.dead("default"))
    names = [name.decode() for name in stored]
    all_letters = [letter async for letter in letters.read(names)]
    expected = plain(all_letters, wanted)
    assert [one.id async for one in letters.scan(wanted)] == expected
    assert await letters.count(wanted) == len(expected)
    found: list[str] = []
    after: Cursor | None = None
    while True:
        page = await letters.page(wanted, limit=limit, after=after)
        assert len(page.letters) <= limit
        found += [one.id for one in page.letters]
        if page.after is None:
            break
        after = Cursor.read(str(page.after))
    assert found == expected
    groups = {one.fingerprint: one.letters for one in await letters.groups(wanted)}
    assert groups == Counter(one.header.fingerprint for one in all_letters if wanted.matches(one))


def run(
    client: redis.asyncio.Redis, headers: dict[str, Header], wanted: Filter, limit: int
) -> None:
    async def work() -> None:
        try:
            await compare(client, headers, wanted, limit)
        finally:
            await client.aclose()

    asyncio.run(work())


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE", 3)


@given(headers=STORES, wanted=FILTERS, limit=st.integers(1, 4))
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_filter_means_the_letters_that_a_plain_list_says(
    headers: dict[str, Header], wanted: Filter, limit: int
) -> None:
    """Scanned, counted, paged by a cursor and grouped."""
    run(fakeredis.FakeAsyncRedis(), headers, wanted, limit)


@given(headers=STORES, wanted=FILTERS, limit=st.integers(1, 4))
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_so_it_does_in_a_real_redis(
    redis_url: str, headers: dict[str, Header], wanted: Filter, limit: int
) -> None:
    run(redis.asyncio.Redis.from_url(redis_url), headers, wanted, limit)


async def test_a_page_goes_on_behind_a_letter_that_is_gone() -> None:
    """It was replayed meanwhile; letters that died in the same millisecond are told all the same."""
    client = fakeredis.FakeAsyncRedis()
    rows = {name: header(Lane.EVENT, "rejected", "ann", None, 1_000) for name in "abcde"}
    await bury(client, "default", rows.items())
    letters = DeadLetters(client, "default")
    first = await letters.page(Filter(user="ann"), limit=2)
    assert [one.id for one in first.letters] == ["e", "d"]
    await letters.drop(["d", "e"])
    rest = await letters.page(Filter(user="ann"), limit=9, after=first.after)
    assert ([one.id for one in rest.letters], rest.after) == (["c", "b", "a"], None)


async def test_a_page_ends_after_so_many_letters_that_do_not_match() -> None:
    """It says how far it came, and the next one goes on there."""
    client = fakeredis.FakeAsyncRedis()
    rows = {f"m{n}": header(Lane.EVENT, "rejected", "ann", None, 1_000 + n) for n in range(9)}
    rows["m0"] = replace(rows["m0"], event="Rare")
    await bury(client, "default", rows.items())
    letters = DeadLetters(client, "default")
    page = await letters.page(Filter(event="rare"), limit=5, most=4)
    assert (page.letters, str(page.after), page.looked) == ((), "1005.m5", 4)
    page = await letters.page(Filter(event="rare"), limit=5, after=page.after)
    assert ([one.id for one in page.letters], page.after) == (["m0"], None)


@pytest.mark.parametrize(
    ("raw", "asked", "found"),
    [
        ({"properties": {"order_id": 10423}}, Filter(order="10423"), True),
        ({"params": {"vars": {"extid": "o-1"}}}, Filter(order="o-1"), True),
        ({"properties": {"products": [{"order_id": "x"}]}}, Filter(order="x"), True),
        ({"properties": {"note": "10423"}}, Filter(order="10423"), False),
        (
            {"properties": {"city": "Z\N{LATIN SMALL LETTER U WITH DIAERESIS}rich"}},
            Filter(match="z\N{LATIN CAPITAL LETTER U WITH DIAERESIS}R"),
            True,
        ),
        ({"properties": {"city": "Bern"}}, Filter(match="Basel"), False),
        ({}, Filter(match="NO SUCH"), True),
    ],
)
def test_order_and_text_are_looked_for_in_the_event(
    raw: object, asked: Filter, found: bool
) -> None:
    """In any letter case, and where JSON writes a letter as an escape."""
    head = replace(header(Lane.EVENT, "rejected", "ann", None, 1), detail="no such thing")
    assert asked.matches(Letter("m1", "default", head, json.dumps(raw).encode())) is found


def test_a_filter_is_said_in_words() -> None:
    assert Filter().in_words() == "all dead letters"
    wanted = Filter(reason=Reason.REJECTED, since_ms=0, code=99)
    assert wanted.in_words() == "reason rejected, since 1970-01-01T00:00:00.000+00:00, code 99"


@pytest.mark.parametrize("text", ["", "soon", "-1.m1", "m1", "\N{SUPERSCRIPT TWO}.m1"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no cursor"):
        Cursor.read(text)


@pytest.mark.parametrize("first", ["user", "group", "reason", "none"])
@pytest.mark.parametrize(
    "second", [{"match": "rare"}, {"event": "Rare"}, {"code": 7}, {"endpoint": "/rare"}]
)
async def test_a_count_looks_at_what_the_index_does_not_say(
    first: str, second: dict[str, Any]
) -> None:
    """One of three letters that an index holds."""
    client = fakeredis.FakeAsyncRedis()
    rows = {f"m{n}": header(Lane.EVENT, "rejected", "ann", None, 1_000 + n) for n in range(3)}
    rows["m1"] = replace(rows["m1"], event="Rare", error=7, endpoint="POST /rare", fingerprint="f1")
    rows["m0"], rows["m2"] = (replace(rows[name], fingerprint="f1") for name in ("m0", "m2"))
    await bury(client, "default", rows.items())
    indexed = {
        "user": {"user": "ann"},
        "group": {"group": "f1"},
        "reason": {"reason": Reason.REJECTED},
    }
    wanted = Filter(**indexed.get(first, {}), **second)  # type: ignore[arg-type]
    assert await DeadLetters(client, "default").count(wanted) == 1
