"""A Redis that is nearly full: producers are refused, and the splitter moves what delivery can use."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st

from pipeline.admission import LOOK_S, Admission
from pipeline.clock import ManualClock
from pipeline.errors import QueueFull
from pipeline.events.models import Lane
from pipeline.lanes import BUCKETS
from pipeline.producer import AsyncProducer, Producer
from pipeline.raw_entries import Labels
from pipeline.settings import AccountSettings, Settings
from pipeline.splitter import loop
from pipeline.splitter.loop import Splitter
from pipeline.splitter.pressure import AHEAD_S, VERDICT_MS, LaneLoad, Load, allowance, verdict_on
from pipeline.storage import keys
from pipeline.storage.verdict import NO_VERDICT, Verdict
from tests.support.mailboxes import Mailboxes, delivered, identify, order, track
from tests.support.redis_server import RedisServer

SLOW = dict.fromkeys(BUCKETS.values(), 5.0)
ROOM = 1_000_000
"""Bytes that the raw stream fills in the test below."""
loads = st.builds(
    LaneLoad,
    st.just("default"),
    st.sampled_from(Lane),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.booleans(),
)


class Shop:
    """Mailboxes of a real Redis, and the loop of a splitter over them, which a test turns."""

    def __init__(self, client: redis.asyncio.Redis, **settings: Any) -> None:
        account = AccountSettings(limits=SLOW, **settings)
        self.boxes = Mailboxes(client, account)
        self.redis = client
        self.clock = ManualClock()
        self.splitter = Splitter(
            client, self.boxes.settings, "first", lambda _due: None, self.clock
        )

    async def used(self) -> int:
        return int((await self.redis.info("memory"))["used_memory"])

    async def turn(self) -> None:
        """The splitter looks anew, and splits a batch if it may."""
        self.clock.advance(1.0)
        await self.splitter.turn()

    async def deliver(self, lane: Lane, bound: int) -> int:
        """So many mailboxes of a lane are emptied."""
        boxes = (await self.boxes.wake(lane, bound=bound)).boxes
        claims = await asyncio.gather(
            *(self.boxes.store.claim(lane, box, most=40) for box in boxes)
        )
        owned = [claim for claim in claims if claim is not None]
        settled = (delivered(claim, len(claim.entries), back=True) for claim in owned)
        await asyncio.gather(*map(self.boxes.store.settle, settled))
        return len(owned)

    async def open_lanes(self) -> None:
        """A worker looks for work, and finds the gates open."""
        for lane in Lane:
            await self.boxes.wake(lane)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A splitter that has nothing to do returns at once."""
    for name in ("LINGER_S", "LOOK_S", "STAND_BY_S"):
        monkeypatch.setattr(loop, name, 0.0)
    monkeypatch.setattr(loop, "BLOCK_MS", 1)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop on a Redis of its own."""
    server = RedisServer(tmp_path)
    server.start()
    try:
        async with redis.asyncio.Redis.from_url(server.url) as client:
            yield Shop(client, dedupe_window=0.0)
    finally:
        server.stop()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client
        await client.config_set("maxmemory", "0")


@pytest.fixture
def shop(client: redis.asyncio.Redis) -> Shop:
    return Shop(client)


async def set_share(shop: Shop, share: float) -> None:
    """Let so much of the memory be in use, of so much that what a test does makes no difference."""
    await shop.redis.setrange("sailpipe:ballast", 20_000_000, ".")
    await shop.redis.config_set("maxmemory", int(await shop.used() / share))


async def waiting(shop: Shop) -> int:
    return sum(n for name, n in (await shop.boxes.counts()).items() if name.startswith("waiting"))


async def test_a_raw_stream_that_fills_redis_is_emptied_within_a_tenth_more_memory(
    small: Shop,
) -> None:
    """An event takes up to four times the room in a mailbox: moved at once, they would burst it."""
    await small.open_lanes()
    await fill(small, 1)
    await small.turn()
    await small.deliver(Lane.EVENT, 1)  # Redis knows all scripts by now
    most = await small.used() + ROOM
    await small.redis.config_set("maxmemory", most)
    sent = 1
    while added := await fill(small, 500):
        sent += added
    highest, done = 0, 1
    while done < sent:
        await small.turn()
        highest = max(highest, await small.used())
        done += await small.deliver(Lane.EVENT, 100)
    assert await small.redis.xlen(keys.RAW) == 0
    assert await small.boxes.counts() == {"delivered": sent}
    assert highest <= 1.1 * most


async def fill(shop: Shop, events: int) -> int:
    """Append so many events, or as many as Redis takes; returns how many."""
    async with shop.redis.pipeline(transaction=False) as pipe:
        for _ in range(events):
            pipe.xadd(keys.RAW, {"event": seen()})
        replies = await pipe.execute(raise_on_error=False)
    return sum(not isinstance(one, Exception) for one in replies)


def seen() -> str:
    who, message = str(uuid.uuid4()), str(uuid.uuid4())
    return json.dumps({"type": "track", "event": "Seen", "anonymousId": who, "messageId": message})


async def test_every_producer_is_refused_while_memory_is_high_and_until_it_is_not(
    shop: Shop, redis_url: str
) -> None:
    """The splitter says it, the key ends by itself, and an event more is taken as soon as there is room."""
    await set_share(shop, 0.85)
    await shop.turn()
    left_ms = await shop.redis.pttl(keys.VERDICT)
    assert 0 < left_ms <= VERDICT_MS
    with redis.Redis.from_url(redis_url) as client:
        ways_in = Producer(client), AsyncProducer(shop.redis)
        with pytest.raises(QueueFull, match="% of Redis' memory"):
            ways_in[0].send(b"{}")
        with pytest.raises(QueueFull, match="% of Redis' memory"):
            ways_in[0].send_many([b"{}"] * 2)
        with pytest.raises(QueueFull, match="% of Redis' memory"):
            await ways_in[1].send_all([b"{}"])
        with pytest.raises(QueueFull):
            await ways_in[1].check_ready()
        await shop.redis.config_set("maxmemory", "0")
        await shop.turn()
        assert not await shop.redis.exists(keys.VERDICT)
        Producer(client).send(b"{}")
        await ways_in[1].check_ready()


async def test_a_splitter_without_the_lease_says_nothing(shop: Shop) -> None:
    """Two that look at different times would take each other's word back."""
    await set_share(shop, 0.85)
    other = Splitter(shop.redis, shop.boxes.settings, "other", lambda _due: None, shop.clock)
    assert await other.hold_lease()
    await shop.turn()
    assert not await shop.redis.exists(keys.VERDICT)


async def test_a_lane_at_its_bound_refuses_its_own_events_alone(
    client: redis.asyncio.Redis,
) -> None:
    """The ways in read an event's kind to know. XADD is never refused."""
    shop = Shop(client, lane_bound=3)
    await shop.boxes.accept(*(track(f"m{n}", "ann") for n in range(3)))
    await shop.turn()
    await shop.turn()
    producer = AsyncProducer(client)
    song, profile = (json.dumps(one).encode() for one in (track("m4", "ann"), identify("m5", "a")))
    with pytest.raises(QueueFull, match="3 events wait in the lane event"):
        await producer.send_all([profile, song])
    await producer.send_all([profile, json.dumps(order("m6", "ann")).encode(), b"{"])
    await producer.send_all([song], Labels("other"))
    assert await client.xlen(keys.RAW) == 4


async def test_an_import_waits_until_there_is_memory_and_is_told_why(
    shop: Shop, redis_url: str
) -> None:
    """A person watches it; a program that enqueues many gets the refusal."""
    await set_share(shop, 0.85)
    await shop.turn()
    told: list[str] = []
    clock = shop.clock
    with redis.Redis.from_url(redis_url) as client:

        def make_room(_seconds: float) -> None:
            client.delete(keys.VERDICT)
            clock.advance(LOOK_S)

        producer = Producer(client, sleep=make_room)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(producer, "_admission", Admission(10, clock.monotonic))
            assert producer.send_many([b"{}"] * 3, on_hold=told.append) == 3
    [why] = told
    assert "of Redis' memory is in use" in why


async def test_the_splitter_goes_on_where_redis_does_not_say_how_full_it_is(
    shop: Shop,
) -> None:
    """A Redis that forbids INFO is taken for one with room."""
    await shop.redis.config_set("maxmemory", "0")
    await shop.boxes.accept(track("m1", "ann"))
    await shop.turn()
    assert await waiting(shop) == 1
    assert Load(10**9, 0, ()).share == 0.0


async def test_a_nearly_full_redis_keeps_delivery_busy_and_no_more(shop: Shop) -> None:
    """Five seconds of all open lanes; before any worker looked for work, nothing."""
    await shop.boxes.accept(*(track(f"m{n}", f"u{n}") for n in range(1000)))
    await set_share(shop, 0.9)
    for _ in range(5):
        await shop.turn()
    assert await waiting(shop) == 0
    await shop.open_lanes()
    for _ in range(3):
        await shop.turn()
    usable = 4 * 5 * AHEAD_S
    assert await waiting(shop) == usable
    await shop.deliver(Lane.EVENT, 30)
    await shop.turn()
    assert await waiting(shop) == usable


async def test_what_waits_for_an_email_keeps_nothing_back(shop: Shop) -> None:
    """The identify that brings it may lie in the raw stream."""
    await shop.boxes.accept(*(order(f"o{n}", f"u{n}") for n in range(400)))
    for _ in range(2):
        await shop.turn()
    later = shop.boxes.now_ms() + 10**6
    names: Any = await shop.redis.zrange(keys.due("default", Lane.PURCHASE), 0, -1)
    await shop.redis.zadd(keys.due("default", Lane.PURCHASE), dict.fromkeys(names, later))
    await shop.boxes.accept(identify("m1", "u1", email="u1@example.com"))
    for lane in Lane:
        await shop.redis.hset(keys.lane("default", lane), "closed", "0")
    await set_share(shop, 1.05)
    await shop.turn()
    assert await shop.boxes.mail(Lane.USER, "u1") == ["m1"]


@given(st.lists(loads, max_size=4, unique_by=lambda one: one.lane), st.floats(0.8, 2))
def test_no_more_is_moved_than_open_lanes_can_deliver(lanes: list[LaneLoad], share: float) -> None:
    """Of a closed lane at first nothing counts, and everything once there is no memory left."""
    load = Load(int(share * 1000), 1000, tuple(lanes))
    rates = {("default", lane): 10.0 for lane in Lane}
    usable = sum(50 for one in lanes if one.is_open)
    found = allowance(load, rates)
    assert found <= usable
    opened = sum(one.ready for one in lanes if one.is_open)
    closed = sum(one.ready for one in lanes if not one.is_open)
    assert found == usable - opened - (closed if load.share >= 1 else 0)


@given(st.lists(loads, max_size=4, unique_by=lambda one: one.lane), st.integers(0, 2000))
def test_a_verdict_is_read_as_it_was_written(lanes: list[LaneLoad], used: int) -> None:
    """And says nothing while there is room."""
    settings = Settings(accounts={"default": AccountSettings(lane_bound=1000)})
    verdict = verdict_on(Load(used, 1000, tuple(lanes)), settings)
    assert Verdict.decode(verdict.encode()) == verdict
    assert (verdict.memory is None) == (used < 800)
    assert bool(verdict) == (used >= 800 or any(one.waiting >= 1000 for one in lanes))
    assert Verdict.decode(None) is NO_VERDICT
