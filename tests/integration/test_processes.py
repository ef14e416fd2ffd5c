"""Processes say that they live, in a real Redis, and `status` believes no more than they said."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from typing import Any

import redis.asyncio

from pipeline.clock import ManualClock, SystemClock
from pipeline.events.models import Lane
from pipeline.lanes import SPECS
from pipeline.processes.heartbeat import ALIVE_MS, KEPT_MS, Heartbeat
from pipeline.processes.history import EVERY_MS, KEPT, read_samples, take_samples
from pipeline.processes.records import Process, ProcessRole, this_process
from pipeline.status.fleet import read_fleet
from pipeline.status.outlook import measure
from pipeline.status.report import read_status
from pipeline.storage import keys
from pipeline.storage.numbers import DAY_MS
from pipeline.supervisor.celery_command import SPLIT_QUEUE, celery_command
from tests.integration.test_splitter_process import started
from tests.support.commands import Command, Setup, wait_until
from tests.support.key_table import check_keys
from tests.support.letters import Pipeline, order, track

CLOCK = ManualClock(1_700_000_000)


def worker(*lanes: Lane) -> Process:
    return this_process(ProcessRole.WORKER, CLOCK, lanes=lanes)


async def make_older(client: redis.asyncio.Redis, process: Process, ms: int) -> None:
    """As if the process had beaten so much earlier."""
    stored: Any = await client.hget(keys.PROCESSES, process.id)
    at, _, text = stored.decode().partition(" ")
    await client.hset(keys.PROCESSES, process.id, f"{int(at) - ms} {text}")


async def test_a_process_lives_for_some_seconds_after_its_last_sign(
    client: redis.asyncio.Redis,
) -> None:
    """Then what it served is missing, since its last sign."""
    one = worker(*Lane)
    splitter = this_process(ProcessRole.SPLITTER, CLOCK, identity="token")
    for process in (one, splitter):
        await Heartbeat(client, process, ["default"], CLOCK).beat()
    await client.set(keys.SPLITTER, "token")
    found = await read_fleet(client)
    assert [(each.process, each.lease) for each in found.alive] == [(one, False), (splitter, True)]
    assert found.missing == []
    await make_older(client, one, ALIVE_MS)
    found = await read_fleet(client)
    assert [each.process for each in found.alive] == [splitter]
    assert [each.part for each in found.missing] == list(Lane)
    assert all(each.since_ms == found.last_seen["user"] for each in found.missing)
    await check_keys(client)


async def test_a_record_without_a_sign_of_life_is_removed(client: redis.asyncio.Redis) -> None:
    """By the next process that beats, so that a crash loop fills nothing."""
    dead, other = worker(Lane.USER), worker(Lane.PAGE)
    await Heartbeat(client, dead, [], CLOCK).beat()
    await make_older(client, dead, KEPT_MS + 1)
    await Heartbeat(client, other, [], CLOCK).beat()
    assert await client.hkeys(keys.PROCESSES) == [other.id.encode()]


async def test_what_is_no_record_hides_no_process(client: redis.asyncio.Redis) -> None:
    await Heartbeat(client, worker(*Lane), [], CLOCK).beat()
    await client.hset(keys.PROCESSES, "newer", '99 {"role":"cook"}')
    assert len((await read_fleet(client)).alive) == 1


async def test_a_process_that_ends_takes_its_record_away(client: redis.asyncio.Redis) -> None:
    """A stop is seen at once, not when a sign is missed."""
    beating = asyncio.create_task(Heartbeat(client, worker(*Lane), [], SystemClock()).run())
    while not await client.exists(keys.PROCESSES):
        await asyncio.sleep(0.01)
    beating.cancel()
    with suppress(asyncio.CancelledError):
        await beating
    assert not await client.exists(keys.PROCESSES)


async def test_a_process_beats_while_redis_is_full(client: redis.asyncio.Redis) -> None:
    """It would look dead when it is needed most."""
    await client.config_set("maxmemory", 1)
    try:
        await Heartbeat(client, worker(*Lane), ["default"], CLOCK).beat()
    finally:
        await client.config_set("maxmemory", 0)
    assert len((await read_fleet(client)).alive) == 1


async def test_processes_take_turns_at_sampling(client: redis.asyncio.Redis) -> None:
    """One sample of each account in 15 seconds, however many processes there are; a clock set back ends nothing."""
    beats = [Heartbeat(client, worker(*Lane), ["default", "shoes"], CLOCK) for _ in range(3)]
    for beat in beats:
        await beat.beat()
    assert [len(await read_samples(client, name, 9)) for name in ("default", "shoes")] == [1, 1]
    seconds, _ = await client.time()
    for sampled in (seconds * 1000 - EVERY_MS, seconds * 1000 + 3_600_000):
        await client.hset(keys.LAST_SEEN, "sampled", sampled)
        await beats[0].beat()
    assert len(await read_samples(client, "default", 9)) == 3


async def test_rates_are_measured_from_what_was_counted(client: redis.asyncio.Redis) -> None:
    """Not from what is aimed at: 600 calls and 500 events in 15 s."""
    pipeline = Pipeline(client)
    await pipeline.send(*(track(n) for n in range(3)))
    await pipeline.split()
    await take_samples(client, ["default"])
    await client.hincrby(keys.slots("default", SPECS[Lane.EVENT].bucket), "total", 600)
    await client.hincrby(keys.counts("default"), "delivered", 500)
    await take_samples(client, ["default"])
    first, last = await read_samples(client, "default", 9)
    assert (first.waiting["event"], last.calls["event"] - first.calls["event"]) == (3, 600)
    assert last.delivered - first.delivered == 500
    # The samples were taken within milliseconds: put the first where it belongs.
    stored: Any = await client.xrange(keys.history("default"))
    await client.delete(keys.history("default"))
    now_ms = last.at_ms
    for (_, row), at in zip(stored, (now_ms - EVERY_MS, now_ms), strict=True):
        await client.xadd(keys.history("default"), row, id=f"{at}-1")
    found = await read_samples(client, "default", 9)
    pace = measure(found, "event", now_ms)
    assert pace is not None
    assert (pace.calls, pace.growth) == (40.0, 0.0)
    status = await read_status(client, pipeline.settings, "redis://127.0.0.1:1/0")
    account = status["accounts"]["default"]
    assert account["lanes"]["event"]["measured"] == 40.0
    assert account["delivered_per_minute"] == 2000
    await check_keys(client)


async def test_a_day_has_the_calls_that_were_saved_since_its_first_sample(
    client: redis.asyncio.Redis,
) -> None:
    """What was folded between the last sample of a day and the first of the next counts for the next."""
    counts, history = keys.counts("default"), keys.history("default")
    yesterday = round(SystemClock().now() * 1000) - DAY_MS
    await client.xadd(history, {"folded": 100, "folded_today": 40}, id=f"{yesterday}-1")
    await client.hset(counts, "folded", 103)
    await take_samples(client, ["default"])
    await client.hset(counts, "folded", 110)
    await take_samples(client, ["default"])
    found = [one.folded_today for one in await read_samples(client, "default", 9)]
    assert found == [40, 3, 10]
    status = await read_status(client, Pipeline(client).settings, "redis://127.0.0.1:1/0")
    account = status["accounts"]["default"]
    assert (account["folded"], account["folded_today"]) == (110, 10)


async def test_a_day_without_a_sample_has_saved_nothing(client: redis.asyncio.Redis) -> None:
    """No worker has run since yesterday."""
    yesterday = round(SystemClock().now() * 1000) - DAY_MS
    await client.xadd(keys.history("default"), {"folded_today": 40}, id=f"{yesterday}-1")
    status = await read_status(client, Pipeline(client).settings, "redis://127.0.0.1:1/0")
    assert status["accounts"]["default"]["folded_today"] == 0


async def test_samples_are_kept_for_an_hour(client: redis.asyncio.Redis) -> None:
    """Redis trims a stream in whole pieces, so there are some more."""
    for _ in range(KEPT + 150):
        await take_samples(client, ["default"])
    assert KEPT <= await client.xlen(keys.history("default")) < KEPT + 150


def test_status_checks_whether_a_person_is_needed(setup: Setup, command: Command) -> None:
    """Exit code 1, and what to do; the whole of `status` begins with the same line."""
    code, said, _ = command("status", "--check")
    assert code == 1
    assert said.splitlines()[0] == "NOTHING runs: no worker, no splitter, no HTTP"
    assert "no worker serves purchase: start `sailpipe worker --lanes purchase`" in said

    async def run(pipeline: Pipeline) -> None:
        for process in (worker(*Lane), this_process(ProcessRole.SPLITTER, CLOCK)):
            await Heartbeat(pipeline.redis, process, ["default"], CLOCK).beat()
        await pipeline.send(order(1))

    setup(run)
    code, said, _ = command("status", "--check")
    assert (code, said.count("\n")) == (0, 1)
    assert said.startswith("Delivering; 1 worker on ")
    code, whole, _ = command("status")
    assert (code, whole.splitlines()[0]) == (0, said.rstrip())
    assert "1 waiting to be split, the oldest for 0s" in whole
    code, said, _ = command("status", "--json", "--check")
    found = json.loads(said)
    assert [one["role"] for one in found["processes"]] == ["worker", "splitter"]
    assert found["processes"][0]["lanes"] == list(Lane)
    assert found["processes"][0]["pid"] == os.getpid()


def test_a_worker_that_stops_is_missed_at_once(
    setup: Setup, command: Command, redis_url: str
) -> None:
    """A worker with the splitter in a child process is two processes."""

    def headline() -> str:
        return command("status", "--check")[1].splitlines()[0]

    with started(celery_command([SPLIT_QUEUE, *Lane], 2), redis_url) as process:
        wait_until(lambda: headline().startswith("Delivering; 1 worker on "), "both beat")
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    assert headline().startswith("NOTHING runs since ")
