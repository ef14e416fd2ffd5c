"""A replay job and the processes that carry it out: paused, its owner killed, resumed, ended."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pipeline.deadletters.filters import Filter
from pipeline.deadletters.jobs import Jobs, JobState
from pipeline.deadletters.store import DeadLetters
from pipeline.events.models import Lane
from pipeline.storage import keys
from tests.support.commands import Setup, running, wait_until
from tests.support.letters import Pipeline, track

T = TypeVar("T")
LETTERS = 120
USERS = 4
JOB = "form-0001"


@pytest.mark.long
def test_a_job_ends_with_nothing_doubled_though_it_is_paused_and_its_owner_is_killed(
    setup: Setup, redis_url: str, tmp_path: Path
) -> None:
    """The next splitter goes on where the killed one was, each user's events in the order in which they came."""

    def ask(work: Callable[[Pipeline], Awaitable[T]]) -> T:
        found: list[T] = []

        async def do(pipeline: Pipeline) -> None:
            found.append(await work(pipeline))

        setup(do)
        return found[0]

    async def begin(pipeline: Pipeline) -> None:
        for number in range(LETTERS):
            await pipeline.kill(track(number, f"u{number % USERS}"), died_at_ms=9_000 - number)
        await pipeline.redis.delete(keys.target("default"))  # those died at the sandbox
        chosen = await DeadLetters(pipeline.redis, "default").select(Filter())
        await Jobs(pipeline.redis, "default").create(JOB, chosen.ids, what="all", rate=60.0)

    def sent() -> int:
        return ask(lambda pipeline: Jobs(pipeline.redis, "default").get(JOB)).sent

    environment = {
        "SAILPIPE_REDIS_URL": redis_url,
        "SAILPIPE_API_KEY": "k",
        "SAILPIPE_API_SECRET": "s",
    }
    setup(begin)
    with running("splitter", directory=tmp_path, **environment):
        wait_until(lambda: sent() > 0, "the job did not begin")
        ask(lambda pipeline: Jobs(pipeline.redis, "default").pause(JOB))
        paused_at = sent()
    assert 0 < paused_at < LETTERS, "it is killed in the middle"
    assert ask(lambda pipeline: Jobs(pipeline.redis, "default").resume(JOB)).state == "running"
    with running("splitter", directory=tmp_path, **environment):
        wait_until(lambda: sent() == LETTERS, "the job did not come to its end")
    job = ask(lambda pipeline: Jobs(pipeline.redis, "default").get(JOB))
    assert (job.state, job.gone, job.total) == (JobState.DONE, 0, LETTERS)
    for user in range(USERS):
        waiting = ask(lambda pipeline, name=f"u{user}": _ids(pipeline, name))  # type: ignore[misc]
        assert waiting == [f"m{number}" for number in range(user, LETTERS, USERS)]


async def _ids(pipeline: Pipeline, user: str) -> list[str]:
    blobs: Any = await pipeline.redis.lrange(keys.mail("default", Lane.EVENT, user), 0, -1)
    return [json.loads(blob.partition(b"\n")[0])["id"] for blob in blobs]
