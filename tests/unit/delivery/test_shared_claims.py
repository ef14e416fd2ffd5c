"""An engine's accounts and lanes share the claims of the process: whichever answers slowly leaves room to all others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from unittest.mock import patch

import fakeredis
import pytest

from pipeline.clock import SYSTEM_RANDOM, SystemClock
from pipeline.delivery.capacity import PROCESS_CLAIMS
from pipeline.delivery.engine import Engine, Seams
from pipeline.dryrun.answers import DryRun
from pipeline.events.models import Lane
from pipeline.settings import AccountSettings, Settings

SLOW, OTHER = "slow", "other"


class Processing:
    """Takes the place of a claim's work: that of the slow account lasts until `answer`."""

    def __init__(self) -> None:
        self.begun: Counter[tuple[str, str]] = Counter()
        self.answer = asyncio.Event()

    async def process(self, name: str, _lane: Lane, box: str) -> None:
        self.begun[name, box] += 1
        if name == SLOW:
            await self.answer.wait()


@pytest.fixture
async def engine() -> Engine:
    accounts = {name: AccountSettings(name=name) for name in (SLOW, OTHER)}
    redis = fakeredis.FakeAsyncRedis()
    seams = Seams(sender=DryRun(redis, OTHER))
    engine = Engine(Settings(accounts=accounts), redis, SystemClock(), SYSTEM_RANDOM, seams)
    for account in engine.accounts.values():
        account.context.caller.latency_s = 7.0
    return engine


@pytest.fixture
def processing(engine: Engine) -> Iterator[Processing]:
    processing = Processing()
    with ExitStack() as patched:
        for name, account in engine.accounts.items():
            instead = partial(processing.process, name)
            patched.enter_context(patch.object(account.processor, "process", instead))
        yield processing


async def test_a_slow_account_leaves_half_of_the_claims_to_the_others(
    engine: Engine, processing: Processing
) -> None:
    """However much it is leased; the other lanes of the account are others, too."""
    jobs = [
        asyncio.create_task(engine.deliver(SLOW, Lane.USER, f"u{number}"))
        for number in range(2 * PROCESS_CLAIMS)
    ]
    await asyncio.sleep(0)
    assert len(processing.begun) == PROCESS_CLAIMS // 2
    await engine.deliver(OTHER, Lane.USER, "ann")
    jobs.append(asyncio.create_task(engine.deliver(SLOW, Lane.EVENT, "bob")))
    await asyncio.sleep(0)
    assert processing.begun[OTHER, "ann"] == processing.begun[SLOW, "bob"] == 1
    processing.answer.set()
    await asyncio.gather(*jobs)
    assert len(processing.begun) == 2 * PROCESS_CLAIMS + 2


async def test_a_mailbox_that_waits_for_room_is_not_taken_a_second_time(
    engine: Engine, processing: Processing
) -> None:
    """Its lease may run out meanwhile, and it is leased and published again; once begun, it may come again."""
    first = [engine.deliver(SLOW, Lane.USER, f"u{number}") for number in range(PROCESS_CLAIMS)]
    again = [engine.deliver(SLOW, Lane.USER, f"u{number}") for number in range(PROCESS_CLAIMS)]
    jobs = [asyncio.create_task(one) for one in (*first, *again)]
    await asyncio.sleep(0)
    waiting = engine.accounts[SLOW].waiting[Lane.USER]
    assert len(waiting) == PROCESS_CLAIMS
    processing.answer.set()
    await asyncio.gather(*jobs)
    assert waiting == set()
    assert processing.begun.total() == PROCESS_CLAIMS + PROCESS_CLAIMS // 2
