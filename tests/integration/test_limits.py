"""The limiter with real processes, a real Redis and a real HTTP server. Nothing here is timed; the
bound that is asserted holds on a slow machine too, which only leaves slots unused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from benchmarks.limits import Scenario, measure
from benchmarks.limits_report import LIMITS, SECOND_NS, largest_window
from pipeline.clock import SystemClock
from pipeline.ratelimit.limiter import Limiter, SlotTooFar
from pipeline.ratelimit.store_redis import RedisSlotStore
from tests.support.redis_server import RedisServer
from tests.support.windows import worst_second

pytestmark = pytest.mark.long

EVENTS = "POST /event"
CLOCK = SystemClock()
DEADLINE_S = 20.0


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("one killed", ((0.0, 4.0),), kill_at=2.0),
        Scenario("from a cold start after idling", ((0.0, 1.0), (2.5, 4.5))),
    ],
    ids=lambda scenario: scenario.name,
)
async def test_saturated_processes_never_exceed_the_limit(
    redis_url: str, tmp_path: Path, scenario: Scenario
) -> None:
    """`make bench-limits` in short: no second above the limit, nothing lost, and work goes on."""
    measured = await measure(scenario, redis_url, tmp_path)
    for path, limit in LIMITS.items():
        assert largest_window(measured.sent[path], SECOND_NS) <= limit
        late = [at for at in measured.sent[path] if at > (measured.end - 1.5) * SECOND_NS]
        assert late
        assert len(measured.received[path]) >= len(measured.sent[path]) - 1


@asynccontextmanager
async def _two_limiters(url: str) -> AsyncIterator[list[Limiter]]:
    """Two processes' worth: a client each, which gives up at once as a worker's does in the end."""
    clients = [Redis.from_url(url, retry=Retry(NoBackoff(), 0)) for _ in range(2)]
    limiters = [Limiter(RedisSlotStore(client)) for client in clients]
    yield limiters
    for limiter, client in zip(limiters, clients, strict=True):
        await limiter.aclose()
        await client.aclose()


async def _send(limiter: Limiter, sent: list[float], errors: list[Exception]) -> None:
    while True:
        try:
            await limiter.acquire("default", EVENTS)
        except SlotTooFar as too_far:
            await CLOCK.sleep(too_far.wait_s)
        except RedisConnectionError as error:
            errors.append(error)
            await CLOCK.sleep(0.05)
        else:
            sent.append(CLOCK.monotonic())


async def _until_more(sent: list[float], more: int) -> None:
    goal = len(sent) + more
    async with asyncio.timeout(DEADLINE_S):
        while len(sent) < goal:
            await CLOCK.sleep(0.02)


@pytest.fixture(params=[True, False], ids=["append only", "forgets all"])
def own_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own, since it is going to be killed."""
    server = RedisServer(tmp_path, append_only=request.param)
    server.start()
    yield server
    server.kill()


async def test_a_redis_that_restarts_neither_stops_calls_nor_lets_them_exceed_the_limit(
    own_redis: RedisServer,
) -> None:
    """SIGKILL with slots reserved; waiters hear of it, and go on when it is back."""
    sent: list[float] = []
    errors: list[Exception] = []
    async with _two_limiters(own_redis.url) as limiters, asyncio.TaskGroup() as group:
        tasks = [group.create_task(_send(one, sent, errors)) for one in limiters for _ in range(4)]
        for _ in range(2):
            await _until_more(sent, 30)
            own_redis.kill()
            own_redis.start()
        await _until_more(sent, 45)
        for task in tasks:
            task.cancel()
    assert errors
    assert worst_second(sent) <= 40


async def test_a_redis_that_is_away_fails_every_waiter_at_once(own_redis: RedisServer) -> None:
    """Every waiter gets redis-py's own error; none hangs."""
    async with _two_limiters(own_redis.url) as limiters:
        own_redis.kill()
        calls = [limiters[0].acquire("default", EVENTS) for _ in range(5)]
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [RedisConnectionError] * 5


async def test_a_closure_reaches_a_process_that_did_not_see_the_429(redis_url: str) -> None:
    """Through the slots in Redis, at the other's next reservation."""
    async with _two_limiters(redis_url) as (first, second):
        await second.acquire("default", EVENTS)
        await first.close("default", EVENTS, CLOCK.now() + 30.0)
        with pytest.raises(SlotTooFar) as refused:
            await second.acquire("default", EVENTS)
        usage = {use.bucket: use for use in await second.usage("default")}
        dropped = second.late("default", EVENTS)  # on a busy machine a slot comes too late
    assert 20.0 < refused.value.wait_s <= 31.0
    assert usage[EVENTS].closed_until is not None
    assert usage[EVENTS].used == 1 + dropped
