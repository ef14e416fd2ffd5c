"""One suite over every SlotStore: in memory, in fakeredis and in a real Redis."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import fakeredis
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.clock import ManualClock
from pipeline.ratelimit.slots import (
    MAX_AHEAD,
    MICROS,
    RESTART_PAUSE,
    Ask,
    Bucket,
    SlotStore,
    interval_us,
)
from pipeline.ratelimit.store_memory import MemorySlotStore
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.storage.numbers import CLOCK_STEP_MS

USERS = Bucket("default", "POST /user", default=300.0)
EVENTS = Bucket("default", "POST /event")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000_020.0)


@pytest_asyncio.fixture(params=["memory", "fakeredis", "redis"])
async def store(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[SlotStore]:
    """A store that has been in use for longer than a restart matters."""
    if request.param == "memory":
        yield MemorySlotStore(clock)
        return
    redis = (
        fakeredis.FakeAsyncRedis()
        if request.param == "fakeredis"
        else Redis.from_url(request.getfixturevalue("redis_url"))
    )
    async with redis:
        redis_store = RedisSlotStore(redis, clock)
        await redis_store.reserve(Bucket("default", "warm-up"), Ask())
        clock.advance(RESTART_PAUSE + 1.0)
        yield redis_store


async def test_an_idle_bucket_gives_its_first_slot_now(
    store: SlotStore, clock: ManualClock
) -> None:
    """A process that calls alone never waits."""
    grant = await store.reserve(EVENTS, Ask())
    assert (grant.count, grant.first) == (1, int(clock.now() * MICROS))


async def test_slots_of_several_askers_follow_each_other_at_the_interval(store: SlotStore) -> None:
    """One next slot for all: askers cannot collide, whatever their number."""
    slots = [slot for _ in range(5) for slot in (await store.reserve(USERS, Ask(3))).slots]
    step = interval_us(300.0, 1.0, None)
    assert [b - a for a, b in itertools.pairwise(slots)] == [step] * 14


async def test_idling_saves_nothing_up(store: SlotStore, clock: ManualClock) -> None:
    """No credit for a quiet hour: the first slots after it are as far apart as any."""
    await store.reserve(EVENTS, Ask())
    clock.advance(3600.0)
    first, second = [(await store.reserve(EVENTS, Ask())).first for _ in range(2)]
    assert second - first == interval_us(40.0, 1.0, None)


async def test_no_asker_reserves_further_ahead_than_the_bound(store: SlotStore) -> None:
    """What is reserved ahead still goes out after a 429, so it is kept short."""
    grants = [await store.reserve(EVENTS, Ask()) for _ in range(20)]
    given = [grant for grant in grants if grant.count]
    assert len(given) == int(MAX_AHEAD * MICROS) // interval_us(40.0, 1.0, None) + 1
    assert all(grant.first - grant.now <= MAX_AHEAD * MICROS for grant in given)
    assert grants[-1].first - grants[-1].now > MAX_AHEAD * MICROS


async def test_a_closed_bucket_gives_nothing_until_it_opens(
    store: SlotStore, clock: ManualClock
) -> None:
    """After a 429 every process is told when to come back, and the first slot is not before."""
    until = clock.now() + 30.0
    await store.close("default", "POST /event", until)
    refused = await store.reserve(EVENTS, Ask())
    assert (refused.count, refused.first) == (0, int(until * MICROS))
    clock.advance(30.0)
    assert (await store.reserve(EVENTS, Ask())).count == 1


async def test_a_clock_that_is_set_back_stops_a_bucket_for_a_moment_only(
    store: SlotStore, clock: ManualClock
) -> None:
    """It stops as after a restart of Redis, and not for as long as the step."""
    await store.reserve(EVENTS, Ask())
    clock.advance(-3600.0)
    await store.reserve(EVENTS, Ask())
    clock.advance(RESTART_PAUSE)
    grants = [await store.reserve(EVENTS, Ask()) for _ in range(2)]
    assert [grant.count for grant in grants] == [1, 1]
    assert grants[0].first - grants[0].now <= MAX_AHEAD * MICROS


async def test_a_closed_bucket_opens_when_it_would_have_though_the_clock_was_set_back(
    store: SlotStore, clock: ManualClock
) -> None:
    """This holds for an asker, too, that does not know yet that the store's clock was set back."""
    until = clock.now() + 30.0
    await store.close("default", "POST /event", until)
    await store.reserve(EVENTS, Ask())
    clock.advance(-3600.0)
    refused = await store.reserve(EVENTS, Ask())
    assert (refused.count, refused.first - refused.now) == (0, 30 * MICROS)
    await store.reserve(EVENTS, Ask(not_before=int(until * MICROS)))
    clock.advance(60.0)
    assert (await store.reserve(EVENTS, Ask())).count == 1


async def test_what_was_reserved_before_the_clock_was_set_back_keeps_its_distance(
    store: SlotStore, clock: ManualClock
) -> None:
    """Reserved slots are used by the process's own clock; the next ones come after them."""
    grants = [await store.reserve(EVENTS, Ask()) for _ in range(20)]
    last = [grant.first - grant.now for grant in grants if grant.count][-1]
    clock.advance(-5.0)
    after = await store.reserve(EVENTS, Ask())
    assert after.first - after.now >= last + interval_us(40.0, 1.0, None)


async def test_a_bucket_that_was_closed_by_another_clock_opens_within_a_minute(
    store: SlotStore, clock: ManualClock
) -> None:
    """A host may be an hour ahead of the store, and its closures outlive it."""
    await store.close("default", "POST /event", clock.now() + 3600.0)
    refused = await store.reserve(EVENTS, Ask())
    assert (refused.count, refused.first - refused.now) == (0, 60 * MICROS)
    clock.advance(60.0)
    assert (await store.reserve(EVENTS, Ask())).count == 1


async def test_a_shorter_closure_does_not_open_a_longer_one(
    store: SlotStore, clock: ManualClock
) -> None:
    """Two refusals may arrive in any order."""
    until = clock.now() + 30.0
    await store.close("default", "POST /event", until)
    await store.close("default", "POST /event", until - 20.0)
    assert (await store.reserve(EVENTS, Ask())).first == int(until * MICROS)


async def test_a_closure_known_to_the_asker_closes_a_store_that_forgot_it(
    store: SlotStore, clock: ManualClock
) -> None:
    """A Redis that lost the closure gets it back from an asker that still knows it."""
    until = int((clock.now() + 10.0) * MICROS)
    assert (await store.reserve(EVENTS, Ask(not_before=until))).count == 0
    assert (await store.reserve(EVENTS, Ask())).closed_until == until


async def test_the_operators_limit_counts_from_the_next_reservation_on(store: SlotStore) -> None:
    """`sailpipe limits set` needs no restart and no refresh."""
    setting = Bucket("default", "POST /event", setting=20.0)
    assert (await store.reserve(setting, Ask())).source == "setting"
    await store.set_limit("default", "POST /event", 80.0)
    grant = await store.reserve(setting, Ask())
    assert (grant.limit, grant.source) == (80.0, "operator")
    assert grant.interval == interval_us(80.0, 1.0, None)
    await store.set_limit("default", "POST /event", None)
    assert (await store.reserve(setting, Ask())).limit == 20.0


@pytest.mark.parametrize(
    ("adopted", "limit", "source"), [(60.0, 60.0, "header"), (10.0, 40.0, "default")]
)
async def test_only_a_larger_limit_header_is_adopted(
    store: SlotStore, adopted: float, limit: float, source: str
) -> None:
    """A smaller one is obeyed through Remaining."""
    await store.adopt("default", "POST /event", adopted)
    grant = await store.reserve(EVENTS, Ask())
    assert (grant.limit, grant.source) == (limit, source)


async def test_a_cap_slows_but_never_speeds_up(store: SlotStore) -> None:
    """Headers can only make us more careful than the limit."""
    assert (await store.reserve(EVENTS, Ask(cap=10.0))).interval == 100_000
    assert (await store.reserve(EVENTS, Ask(cap=99.0))).interval == interval_us(40.0, 1.0, None)


async def test_a_purposes_part_has_slots_of_its_own_at_its_share(store: SlotStore) -> None:
    """Ten per cent of 300/s: one slot in 34 ms, and the limit is the whole bucket's."""
    await store.set_limit("default", "GET /user", 200.0)
    part = Bucket("default", "GET /user", part="email", share=0.1, default=300.0)
    whole = Bucket("default", "GET /user", default=300.0)
    first = await store.reserve(part, Ask())
    assert first.interval == interval_us(200.0, 0.1, None)
    assert (await store.reserve(whole, Ask())).first == first.first


async def test_accounts_do_not_share_slots(store: SlotStore, clock: ManualClock) -> None:
    """One brand's backlog costs another brand nothing."""
    await store.reserve(EVENTS, Ask(10))
    other = await store.reserve(Bucket("other", "POST /event"), Ask())
    assert other.first == int(clock.now() * MICROS)


async def test_usage_shows_limit_source_use_and_closure(
    store: SlotStore, clock: ManualClock
) -> None:
    """What `sailpipe limits` prints."""
    await store.reserve(USERS, Ask(5))
    await store.set_limit("default", "POST /event", 80.0)
    await store.close("default", "POST /event", clock.now() + 12.0)
    users, events = await store.usage([USERS, EVENTS])
    assert (users.limit, users.source, users.used, users.closed_until) == (300, "default", 5, None)
    assert (events.limit, events.source, events.used) == (80, "operator", 0)
    assert events.closed_until == pytest.approx(clock.now() + 12.0, abs=0.001)


async def test_use_fades_over_the_minute_that_follows(store: SlotStore, clock: ManualClock) -> None:
    """`used` is of the last minute, not of the clock minute that has just begun."""
    clock.advance(60.0 - clock.now() % 60.0)
    await store.reserve(USERS, Ask(8))
    clock.advance(75.0)
    assert (await store.usage([USERS]))[0].used == 6
    clock.advance(50.0)
    assert (await store.usage([USERS]))[0].used == 0


async def test_a_full_redis_gives_slots_and_closes_buckets(
    redis_url: str, clock: ManualClock
) -> None:
    """Delivery needs slots to make room in it, and a bucket that a 429 closed must stay closed."""
    async with Redis.from_url(redis_url) as redis:
        full = RedisSlotStore(redis, clock)
        await full.reserve(EVENTS, Ask())
        clock.advance(RESTART_PAUSE + 1.0)
        await redis.config_set("maxmemory", "1")
        try:
            assert (await full.reserve(EVENTS, Ask())).count == 1
            await full.close("default", "POST /event", clock.now() + 30.0)
            assert (await full.reserve(EVENTS, Ask())).count == 0
            await redis.script_flush()
            assert (await full.reserve(USERS, Ask())).count == 0
        finally:
            await redis.config_set("maxmemory", "0")


async def test_a_clock_that_goes_back_a_little_moves_no_slot(
    store: SlotStore, clock: ManualClock
) -> None:
    """Clocks are corrected by milliseconds all the time."""
    before = await store.reserve(EVENTS, Ask())
    clock.advance(-CLOCK_STEP_MS / 1000)
    after = await store.reserve(EVENTS, Ask())
    assert after.first == before.first + interval_us(40.0, 1.0, None)


async def test_slots_are_reckoned_by_redis_own_clock(redis_url: str) -> None:
    """In microseconds: all processes share it, whatever their machines' clocks say."""

    async def now(client: Redis) -> int:
        seconds, micros = await client.time()
        return int(seconds) * MICROS + int(micros)

    async with Redis.from_url(redis_url) as client:
        store = RedisSlotStore(client)
        for _ in range(5):
            began = await now(client)
            grant = await store.reserve(EVENTS, Ask())
            assert began <= grant.now <= await now(client)
