"""The metrics of a real Redis that the real scripts have written, read as Prometheus reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import redis.asyncio
from prometheus_client.parser import text_string_to_metric_families

from pipeline.calltimes import CallTimes
from pipeline.clock import SystemClock
from pipeline.counters import BESIDE, PARTS, Count
from pipeline.deadletters.jobs import Jobs
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure, Gates
from pipeline.mailbox.claim import Settlement
from pipeline.metrics.collector import BY_PART, PLAIN, metrics_text
from pipeline.metrics.names import METRICS
from pipeline.processes.heartbeat import Heartbeat
from pipeline.processes.records import ProcessRole, this_process
from pipeline.settings import AccountSettings, Settings
from pipeline.status.snapshot import read_snapshot
from pipeline.storage import keys
from tests.support.letters import Pipeline, order, track

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def pipeline(client: redis.asyncio.Redis) -> Pipeline:
    return Pipeline(client)


async def scrape(pipeline: Pipeline) -> Samples:
    """(name, labels) -> value, as Prometheus' own parser reads it."""
    text = (await metrics_text(pipeline.redis, pipeline.settings)).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float | None:
    """One sample; the account is the default one wherever there is one."""
    for found in (frozenset({"account": "default", **labels}.items()), frozenset(labels.items())):
        if (name, found) in samples:
            return samples[name, found]
    return None


def test_every_counter_has_a_metric() -> None:
    """A new one fails here; what waits is shown by lane, what came in by way and type."""
    apart = {Count.WAITING, Count.CAME_IN}
    assert PLAIN.keys() | BY_PART.keys() | apart == set(Count)
    assert BY_PART.keys() == PARTS.keys() - apart
    assert set(Count) >= BESIDE


async def test_an_empty_installation_shows_zeros(pipeline: Pipeline) -> None:
    """A series that begins at its first event has no increase that an alert could see."""
    found = await scrape(pipeline)
    assert of(found, "sailpipe_redis_up") == 1
    assert of(found, "sailpipe_events_delivered_total") == 0
    assert of(found, "sailpipe_splitter_up") == 0
    for lane in Lane:
        assert of(found, "sailpipe_lane_backlog", lane=lane) == 0
        assert of(found, "sailpipe_lane_workers", lane=lane) == 0
    for role in ProcessRole:
        assert of(found, "sailpipe_processes", role=role) == 0
    assert of(found, "sailpipe_replay_jobs", state="running") == 0


async def test_events_are_counted_by_what_became_of_them(pipeline: Pipeline) -> None:
    await pipeline.kill(track(1), reason=Reason.TOO_OLD)
    await pipeline.send(track(3), track(3), order(5))
    await pipeline.split()
    claim = await pipeline.claim("u3", Lane.EVENT)
    await pipeline.mailboxes.settle(Settlement(claim, pop=1, count={"delivered": 1}, back=True))
    await pipeline.wait_for_email("u5")
    await pipeline.send(track(6))
    found = await scrape(pipeline)
    assert of(found, "sailpipe_events_split_total") == 4
    assert of(found, "sailpipe_events_delivered_total") == 1
    assert of(found, "sailpipe_events_duplicates_total") == 1
    assert of(found, "sailpipe_dead_letters", reason="too_old") == 1
    assert of(found, "sailpipe_raw_backlog") == 1
    waiting = {
        cause: of(found, "sailpipe_lane_mailboxes", lane="purchase", cause=cause)
        for cause in ("due", "in_hand", "retrying", "email", "other")
    }
    assert waiting == {"due": 0, "in_hand": 0, "retrying": 0, "email": 1, "other": 0}
    assert of(found, "sailpipe_lane_late_seconds", lane="purchase") == 0, (
        "it waits, and is not late"
    )


async def test_processes_are_shown_as_status_has_them(pipeline: Pipeline) -> None:
    """By role, and by the lanes that they serve; of two splitters the one with the lease splits."""
    clock = SystemClock()
    crew = [
        this_process(ProcessRole.WORKER, clock, lanes=["user", "event"]),
        this_process(ProcessRole.WORKER, clock, lanes=["user"]),
        this_process(ProcessRole.SPLITTER, clock, identity="first"),
        replace(this_process(ProcessRole.SPLITTER, clock, identity="second"), version="0.0"),
    ]
    for one in crew:
        await Heartbeat(pipeline.redis, one, [], clock).beat()
    found = await scrape(pipeline)
    assert of(found, "sailpipe_splitter_up") == 0
    assert [of(found, "sailpipe_processes", role=role) for role in ProcessRole] == [2, 2, 0]
    assert [of(found, "sailpipe_lane_workers", lane=lane) for lane in ("user", "page")] == [2, 0]
    assert of(found, "sailpipe_versions") == 2
    await pipeline.redis.set(keys.SPLITTER, "second")
    assert of(await scrape(pipeline), "sailpipe_splitter_up") == 1


async def test_replays_are_shown_by_state_with_what_they_have_to_send(pipeline: Pipeline) -> None:
    """One that has ended is shown no more."""
    jobs = Jobs(pipeline.redis, "default")
    for name in ("one", "two", "three"):
        await jobs.create(name, ["a", "b"])
    await jobs.pause("two")
    await jobs.stop("three")
    await pipeline.redis.hset(keys.job("default", "one"), mapping={"sent": 1})
    found = await scrape(pipeline)
    states = ("running", "paused", "asking", "filling")
    assert [of(found, "sailpipe_replay_jobs", state=one) for one in states] == [1, 1, 0, 0]
    assert of(found, "sailpipe_replay_letters_left") == 3


async def test_a_lane_that_nobody_serves_grows_late(pipeline: Pipeline) -> None:
    await pipeline.send(track(1))
    await pipeline.split()
    due: Any = keys.due("default", Lane.EVENT)
    found: Any = await pipeline.redis.zrange(due, 0, -1, withscores=True)
    [(box, at)] = found
    await pipeline.redis.zadd(due, {box: at - 90_000})
    late = of(await scrape(pipeline), "sailpipe_lane_late_seconds", lane="event")
    assert late is not None
    assert 90 <= late < 120


async def test_gates_limits_calls_and_refusals_are_shown(pipeline: Pipeline) -> None:
    times = CallTimes()
    times.add("POST /event", "ok", 0.2)
    times.add("POST /event", "unavailable", 8.0)
    for name, by in times.take().items():
        await pipeline.redis.hincrby(keys.calls("default"), name, by)
    await pipeline.redis.hset(keys.REFUSALS, "unauthorized", "7")
    await Gates(pipeline.redis, "default").close(Closure("event", "brake", 0, 1, "why"))
    found = await scrape(pipeline)
    gate = of(found, "sailpipe_gate_closed", scope="event", reason="brake")
    assert gate == 1
    assert of(found, "sailpipe_requests_refused_total", code="unauthorized") == 7
    assert of(found, "sailpipe_limit_per_minute", endpoint="POST /event") == 2400
    ok = {"endpoint": "POST /event", "result": "ok"}
    assert of(found, "sailpipe_call_seconds_bucket", **ok, le="0.1") == 0
    assert of(found, "sailpipe_call_seconds_bucket", **ok, le="0.25") == 1
    assert of(found, "sailpipe_call_seconds_count", **ok) == 1
    assert of(found, "sailpipe_call_seconds_sum", **ok) == 0.2


async def test_every_metric_can_be_shown(pipeline: Pipeline) -> None:
    """None is named that nothing fills."""
    counts: Any = {f"{count.value}:x" if count in PARTS else count.value: 1 for count in Count}
    counts["came_in:segment:track"] = counts.pop("came_in:x")
    await pipeline.redis.hset(keys.counts("default"), mapping=counts)
    await pipeline.redis.hset(keys.calls("default"), mapping={"POST /event|ok|0.1": 1})
    await pipeline.redis.hset(keys.REFUSALS, "unauthorized", "1")
    await Gates(pipeline.redis, "default").close(Closure("event", "brake", 0, 1, "why"))
    names = {name for name, _ in await scrape(pipeline)}
    for metric in METRICS:
        shown = f"{metric.name}_count" if metric.kind == "histogram" else metric.shown
        assert shown in names


async def test_a_scrape_is_two_round_trips_however_many_accounts(
    client: redis.asyncio.Redis,
) -> None:
    """Beside the one for limits, which goes with the first."""
    trips = 0
    execute = redis.asyncio.client.Pipeline.execute

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal trips
        trips += 1
        return await execute(*args, **kwargs)

    accounts = {name: AccountSettings(name=name) for name in ("default", "b", "c", "d", "e")}
    settings = Settings(accounts=accounts)
    await read_snapshot(client, settings)
    with patch.object(redis.asyncio.client.Pipeline, "execute", counted):
        found = await read_snapshot(client, settings)
    assert list(found.accounts) == list(accounts)
    assert trips == 3


async def test_of_a_redis_that_does_not_answer_that_alone_is_said() -> None:
    """Prometheus sees why there is nothing, rather than a scrape that fails."""
    async with redis.asyncio.Redis.from_url("redis://127.0.0.1:1") as away:
        text = await metrics_text(away, Settings())
    assert b"sailpipe_redis_up 0.0" in text
    assert b"delivered" not in text
