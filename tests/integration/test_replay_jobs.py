"""Replays as jobs, on a real Redis and on fakeredis, with letters the real scripts made."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import fakeredis
import pytest

from pipeline.clock import ManualClock
from pipeline.deadletters import runner
from pipeline.deadletters.audit import AuditTrail
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.jobs import Job, Jobs, JobState, UnknownJob
from pipeline.deadletters.replays import Refused, ReplayRequest, start_replay
from pipeline.deadletters.runner import JobRunner
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.ownership.reset import reset
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from pipeline.storage.redis_client import open_async_redis
from tests.support.letters import Pipeline, track

TOKEN = "form-0001"
USERS = 3


@pytest.fixture(params=["real", "fake"])
async def pipeline(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Pipeline]:
    real = request.param == "real"
    async with open_async_redis(redis_url) if real else fakeredis.FakeAsyncRedis() as opened:
        yield Pipeline(opened)


async def kill(pipeline: Pipeline, count: int) -> None:
    """So many letters of USERS users, of which the later ones came first."""
    for number in range(count):
        await pipeline.kill(track(number, f"u{number % USERS}"), died_at_ms=9_000 - number)


def asked(count: int, **more: Any) -> ReplayRequest:
    wanted = more.pop("wanted", Filter(reason=Reason.REJECTED))
    return ReplayRequest(wanted, count, more.pop("token", TOKEN), "ann", "mended", **more)


async def start(pipeline: Pipeline, request: ReplayRequest) -> Job:
    client = pipeline.redis
    parts = DeadLetters(client, "default"), Jobs(client, "default"), AuditTrail(client, "default")
    return await start_replay(*parts, request)


def a_process(pipeline: Pipeline, name: str, clock: ManualClock | None = None) -> JobRunner:
    accounts = {"default": AccountSettings(customer_id="c")}
    return JobRunner(pipeline.redis, accounts, name, clock or ManualClock())


async def waiting(pipeline: Pipeline) -> dict[str, list[str]]:
    """The ids in each user's mailbox, in order."""
    found: dict[str, list[str]] = {}
    for user in (f"u{n}" for n in range(USERS)):
        blobs: Any = await pipeline.redis.lrange(keys.mail("default", Lane.EVENT, user), 0, -1)
        found[user] = [json.loads(blob.partition(b"\n")[0])["id"] for blob in blobs]
    return found


def in_order(count: int) -> dict[str, list[str]]:
    return {f"u{u}": [f"m{n}" for n in range(u, count, USERS)] for u in range(USERS)}


async def test_a_job_that_is_paused_and_whose_owner_is_killed_ends_with_nothing_doubled(
    pipeline: Pipeline,
) -> None:
    """It goes on in another process when the lease of the dead one has run out, each user's events in order."""
    await kill(pipeline, 40)
    jobs = Jobs(pipeline.redis, "default")
    assert (await start(pipeline, asked(40))).state is JobState.RUNNING
    dead, other = a_process(pipeline, "dead"), a_process(pipeline, "other")
    assert await dead.turn()
    assert (await jobs.get(TOKEN)).sent == runner.FIRST_STEP
    assert (await jobs.pause(TOKEN)).state is JobState.PAUSED
    assert not await dead.turn()
    assert (await jobs.resume(TOKEN)).state is JobState.RUNNING
    await other.turn()  # the first one is dead, and nobody knows yet
    assert (await jobs.get(TOKEN)).sent == runner.FIRST_STEP
    await pipeline.redis.delete(keys.jobs_lease("default"))  # it runs out
    while await other.turn():
        pass
    job = await jobs.get(TOKEN)
    assert (job.state, job.sent, job.gone, job.total) == (JobState.DONE, 40, 0, 40)
    assert await waiting(pipeline) == in_order(40)
    assert await jobs.active() == []


async def test_two_processes_at_once_double_nothing(pipeline: Pipeline) -> None:
    await kill(pipeline, 30)
    await start(pipeline, asked(30))
    one, two = a_process(pipeline, "one"), a_process(pipeline, "two")
    while await one.turn() or await two.turn():
        pass
    assert await waiting(pipeline) == in_order(30)


@pytest.mark.parametrize("sends_all", [False, True])
async def test_what_is_overtaken_while_a_job_runs_stays(
    pipeline: Pipeline, *, sends_all: bool
) -> None:
    """Nothing was when it was asked for; unless the person said that such letters go, too."""
    await kill(pipeline, 12)
    letters = DeadLetters(pipeline.redis, "default")
    for identity in ("m10", "m11"):
        found = await letters.get(identity)
        line = replace(found.header, follows="identify").as_line().encode()
        await pipeline.redis.hset(keys.dead("default"), identity, line + b"\n" + found.raw)
    await start(pipeline, asked(12, overtaken=sends_all))
    process = a_process(pipeline, "one")
    await process.turn()
    assert (await Jobs(pipeline.redis, "default").get(TOKEN)).sent == runner.FIRST_STEP
    last = (await letters.get("m11")).header
    newer: dict[Any, Any] = {"newest:identify": last.first_seen_ms + 1}
    await pipeline.redis.hset(keys.user("default", last.user), mapping=newer)
    while await process.turn():
        pass
    job = await Jobs(pipeline.redis, "default").get(TOKEN)
    assert job.state is JobState.DONE
    assert (job.sent, job.gone, job.overtaken) == ((12, 0, 0) if sends_all else (11, 0, 1))
    assert await letters.count(Filter()) == (0 if sends_all else 1)


async def test_what_is_overtaken_before_it_leaves_at_once_stays(pipeline: Pipeline) -> None:
    """The person was asked in between, and may have waited with the answer."""
    await kill(pipeline, 2)
    letters = DeadLetters(pipeline.redis, "default")
    found = await letters.get("m1")
    line = replace(found.header, follows="identify").as_line().encode()
    await pipeline.redis.hset(keys.dead("default"), "m1", line + b"\n" + found.raw)
    chosen = await letters.select(Filter())
    assert chosen.overtaken == frozenset()
    newer: dict[Any, Any] = {"newest:identify": found.header.first_seen_ms + 1}
    await pipeline.redis.hset(keys.user("default", "u1"), mapping=newer)
    assert await letters.replay(chosen.ids, overtaken=False) == 1
    assert await letters.replay(chosen.ids, overtaken=True) == 1


async def test_a_double_click_makes_one_job(pipeline: Pipeline) -> None:
    """The second answer is the first one's job, also when it has ended."""
    await kill(pipeline, 12)
    first = await start(pipeline, asked(12))
    assert await start(pipeline, asked(12)) == first
    process = a_process(pipeline, "one")
    while await process.turn():
        pass
    again = await start(pipeline, asked(12))
    assert (again.id, again.state, again.sent) == (TOKEN, JobState.DONE, 12)
    assert len(await AuditTrail(pipeline.redis, "default").latest(10)) == 1


async def test_a_job_asks_after_the_first_letters(pipeline: Pipeline) -> None:
    await kill(pipeline, 30)
    await start(pipeline, asked(30, first=4))
    process, jobs = a_process(pipeline, "one"), Jobs(pipeline.redis, "default")
    while await process.turn():
        pass
    job = await jobs.get(TOKEN)
    assert (job.state, job.sent) == (JobState.ASKING, 4)
    await jobs.resume(TOKEN)
    while await process.turn():
        pass
    job = await jobs.get(TOKEN)
    assert (job.state, job.sent) == (JobState.DONE, 30)


async def test_a_job_whose_letters_die_again_of_the_same_stops_itself(pipeline: Pipeline) -> None:
    """The rest stays dead; another cause is counted and stops nothing."""
    await kill(pipeline, 60)
    await start(pipeline, asked(60))
    process, jobs = a_process(pipeline, "one"), Jobs(pipeline.redis, "default")
    assert await process.turn()
    for user in (f"u{n}" for n in range(USERS)):
        await die_again(pipeline, user, Reason.REJECTED)
    await process.turn()
    job = await jobs.get(TOKEN)
    assert (job.state, job.sent, job.again) == (JobState.STOPPED, 10, 10)
    assert job.detail == "10 of 10 letters died again of the same cause"
    assert await DeadLetters(pipeline.redis, "default").count(Filter()) == 60


async def test_a_job_goes_on_while_letters_die_of_something_else(pipeline: Pipeline) -> None:
    await kill(pipeline, 30)
    await start(pipeline, asked(30))
    process, jobs = a_process(pipeline, "one"), Jobs(pipeline.redis, "default")
    assert await process.turn()
    for user in (f"u{n}" for n in range(USERS)):
        await die_again(pipeline, user, Reason.TOO_OLD)
    while await process.turn():
        pass
    job = await jobs.get(TOKEN)
    assert (job.state, job.others, job.again) == (JobState.DONE, 10, 0)


async def die_again(pipeline: Pipeline, user: str, reason: Reason) -> None:
    claim = await pipeline.claim(user, Lane.EVENT)
    while claim.entries:
        last = len(claim.entries) == 1
        header = pipeline._header(claim, track(0, user), reason, "no such thing 18", None)
        died = pipeline.settlement(claim, header, back=last)
        await pipeline.mailboxes.settle(died)
        claim = claim.apply(died)


async def test_a_rate_is_kept(pipeline: Pipeline) -> None:
    """Four a second: after two seconds eight."""
    await kill(pipeline, 30)
    await start(pipeline, asked(30, rate=4.0))
    clock = ManualClock()
    process, jobs = a_process(pipeline, "one", clock), Jobs(pipeline.redis, "default")
    for _ in range(5):
        await process.turn()
        clock.advance(runner.TICK_S)
    assert (await jobs.get(TOKEN)).sent == 8


async def test_a_job_waits_while_much_bulk_could_go_out_already(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RAW_HOLD", USERS)
    await kill(pipeline, 30)
    await start(pipeline, asked(30))
    process, jobs = a_process(pipeline, "one"), Jobs(pipeline.redis, "default")
    assert await process.turn()
    assert await process.turn()
    assert (await jobs.get(TOKEN)).sent == runner.FIRST_STEP


async def test_a_reset_removes_jobs_that_a_process_is_at(pipeline: Pipeline) -> None:
    """What that process asks of them afterwards leaves nothing behind."""
    await kill(pipeline, 3)
    await start(pipeline, asked(3))
    jobs = Jobs(pipeline.redis, "default")
    await reset(pipeline.redis, "default", [], lambda _: None)
    assert await jobs.step(TOKEN, "one", 1_000, 9) == ("stopped", 0)
    assert await jobs.watch(TOKEN) == (0, 0)
    assert await jobs.latest(9) == []
    assert await pipeline.redis.keys("*:jobs:job:*") == []


async def test_a_job_of_another_targets_account_waits(pipeline: Pipeline) -> None:
    await kill(pipeline, 3)
    await start(pipeline, asked(3))
    await pipeline.redis.set(keys.target("default"), "api.sailthru.com x-1")
    assert not await a_process(pipeline, "one").turn()
    assert (await Jobs(pipeline.redis, "default").get(TOKEN)).sent == 0


async def test_a_job_that_is_stopped_leaves_the_rest_dead(pipeline: Pipeline) -> None:
    await kill(pipeline, 20)
    await start(pipeline, asked(20))
    process, jobs = a_process(pipeline, "one"), Jobs(pipeline.redis, "default")
    await process.turn()
    assert (await jobs.stop(TOKEN)).state is JobState.STOPPED
    assert not await process.turn()
    assert (await jobs.resume(TOKEN)).state is JobState.STOPPED
    assert await DeadLetters(pipeline.redis, "default").count(Filter()) == 10
    with pytest.raises(UnknownJob):
        await jobs.stop("none")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"wanted": Filter()}, "filter is empty"),
        ({"token": "a b"}, "no token"),
        ({"wanted": Filter(reason=Reason.POISON)}, "No dead letter matches"),
        ({"count": 9}, "There are 10 letters now, and 9 were shown"),
    ],
)
async def test_what_was_not_shown_is_refused(
    pipeline: Pipeline, more: dict[str, Any], why: str
) -> None:
    """Growth by a tenth passes, more does not."""
    await kill(pipeline, 10)
    with pytest.raises(Refused, match=why):
        await start(pipeline, asked(**{"count": 10, **more}))
    assert await Jobs(pipeline.redis, "default").latest(9) == []


async def test_a_count_that_grew_by_a_tenth_is_taken(pipeline: Pipeline) -> None:
    await kill(pipeline, 11)
    assert (await start(pipeline, asked(10))).total == 11


async def test_jobs_that_ended_are_forgotten_and_others_are_not(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs(pipeline.redis, "default")
    for number in range(103):
        await jobs.create(f"job-{number:04d}", ["m1"])
        if number:
            await jobs.stop(f"job-{number:04d}")
    names = {job.id for job in await jobs.latest(200)}
    assert len(names) == 101
    assert "job-0000" in names
    assert "job-0001" not in names
    left: list[Any] = await pipeline.redis.keys("*:jobs:job:*")
    assert len(left) == len(names)
