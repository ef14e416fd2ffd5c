"""The rules by which a way in drops events: which user agents are bots, and what is taken once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import fakeredis
import pytest
import redis.asyncio
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import EnqueueError, QueueFull
from pipeline.events.kinds import IgnoreReason
from pipeline.ingest.rules.bots import is_bot
from pipeline.ingest.rules.once import OPEN_MS, Once, OnceSender, one_confirmation, one_open
from pipeline.producer import AsyncProducer
from pipeline.raw_entries import Labels
from pipeline.roles import Role
from pipeline.settings import AccountSettings
from pipeline.storage import keys

PEOPLE = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 10; CUBOT_X18) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/115 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.16130; Pro)",
    "okhttp/4.9.0",
    "",
]
BOTS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0 Safari/537.36",
    "okhttp/4.9.0 Googlebot/2.1",
    "python-requests/2.31",
]
CONFIRMED = Once(IgnoreReason.REPEATED_CONFIRMATION, ("A-1",), 60_000)


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_people_and_the_proxies_that_open_their_mails_are_no_bots(user_agent: str) -> None:
    """A list that took Gmail's picture proxy for one would drop every mail that is opened there."""
    assert not is_bot(user_agent)


@pytest.mark.parametrize("user_agent", BOTS)
def test_crawlers_and_libraries_are_bots(user_agent: str) -> None:
    """By the list; a word of people's beside one saves none."""
    assert is_bot(user_agent)


def test_only_the_beginning_of_a_user_agent_is_looked_at() -> None:
    """1,500 patterns over 30 KB would keep all other requests waiting."""
    assert is_bot("x" * 400 + BOTS[0])
    assert not is_bot("x" * 512 + BOTS[0])


def test_the_list_is_in_use() -> None:
    """Its own samples, but for those of people."""
    samples = [text for one in CRAWLER_USER_AGENTS_DATA for text in one["instances"][:1]]
    assert len(samples) > 1000
    assert sum(map(is_bot, samples)) > 0.98 * len(samples)


@pytest.mark.parametrize("value", [None, 7, [], {}])
def test_what_is_no_text_is_no_bot(value: object) -> None:
    """Most events name no user agent."""
    assert not is_bot(value)


def test_an_order_is_confirmed_once_for_as_long_as_orders_are_remembered() -> None:
    """Not where its id is one of a broken page's, or ORDER_WINDOW is off: every order would be the same."""
    account = AccountSettings(order_window=60.0)
    assert one_confirmation("A-1", account) == CONFIRMED
    assert one_confirmation(None, account) is None
    assert one_confirmation("undefined", account) is None
    assert one_confirmation("A-1", AccountSettings(order_window=None)) is None


def test_a_page_uses_up_no_servers_open() -> None:
    """Anybody can read its key, and say that anybody opened a mail."""
    server, page = one_open("42", Role.SERVER), one_open("42", Role.BROWSER)
    assert server.words != page.words
    assert server.keep_ms == OPEN_MS == 1_200_000


async def sender(client: redis.asyncio.Redis) -> OnceSender:
    return OnceSender(client, AsyncProducer(client))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=12))
@settings(max_examples=30)
def test_of_each_words_one_is_appended_and_the_others_are_counted(
    sent: list[tuple[int, int]],
) -> None:
    """Whatever comes in whatever order: nothing is lost and nothing is counted twice."""

    async def run() -> None:
        client = fakeredis.FakeAsyncRedis()
        rule = await sender(client)
        seen, expected = set[int](), Counter[str]()
        for order, events in sent:
            once = CONFIRMED._replace(words=(str(order),))
            taken = await rule.send([b"{}"] * events, Labels(), once)
            assert taken == (order not in seen)
            expected["taken" if taken else "dropped"] += events
            seen.add(order)
        counted = await client.hget(keys.counts("default"), "ignored:repeated_confirmation")
        assert await client.xlen(keys.RAW) == expected["taken"]
        assert int(counted or 0) == expected["dropped"]
        await client.aclose()

    asyncio.run(run())


async def test_the_place_is_kept_for_its_time_and_for_its_account(redis_url: str) -> None:
    """Then the next one is taken."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        rule = await sender(client)
        assert await rule.send([b"{}"], Labels(role=Role.BROWSER, bulk=True), CONFIRMED)
        assert await rule.send([b"{}"], Labels("brand"), CONFIRMED)
        (name,) = [one async for one in client.scan_iter("sailpipe:default:once:*")]
        assert 59_000 < await client.pttl(name) <= 60_000
        assert b"A-1" not in name
        await client.delete(name)
        assert await rule.send([b"{}"], Labels(), CONFIRMED)
        found: Any = await client.xrange(keys.RAW)
        first, second, third = (fields for _, fields in found)
        assert first == {b"event": b"{}", b"role": b"browser", b"class": b"bulk"}
        assert second == {b"event": b"{}", b"account": b"brand"}
        assert third == {b"event": b"{}"}


async def test_of_many_at_the_same_moment_one_is_taken(redis_url: str) -> None:
    """Two servers confirm an order at once."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        rules = [await sender(client) for _ in range(4)]
        taken = await asyncio.gather(
            *(rule.send([b"{}"], Labels(), CONFIRMED) for rule in rules * 5)
        )
        assert sum(taken) == await client.xlen(keys.RAW) == 1


async def test_a_full_redis_takes_neither_the_event_nor_its_place(redis_url: str) -> None:
    """The next one must find it free."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        rule = await sender(client)
        await client.config_set("maxmemory", "1")
        try:
            with pytest.raises(QueueFull):
                await rule.send([b"{}"], Labels(), CONFIRMED)
        finally:
            await client.config_set("maxmemory", "0")
        assert await rule.send([b"{}"], Labels(), CONFIRMED)


async def test_a_redis_that_is_away_is_an_error() -> None:
    """And never an event that was dropped."""
    async with redis.asyncio.Redis.from_url("redis://127.0.0.1:1") as client:
        with pytest.raises(EnqueueError):
            await (await sender(client)).send([b"{}"], Labels(), CONFIRMED)
