"""The pruner: what is too old goes quietly, what is too many with an error and an alert."""

from __future__ import annotations

import logging
from typing import Any

import fakeredis
import pytest
import redis.asyncio
import redis.exceptions

from pipeline.clock import ManualClock
from pipeline.deadletters.letter import Header
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import Reason
from pipeline.settings import AccountSettings, Settings
from pipeline.storage import keys
from tests.support.letters import bury
from workers import pruner

SETTINGS = AccountSettings(dead_max=10, dead_keep=3600.0)
OLD, LATELY = 1_000, 4_000_000_000_000
NOW = 4_000_000_000.0

Said = list[tuple[str, int, dict[str, object]]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    found: Said = []

    def note(name: str, level: int = logging.INFO, **fields: object) -> None:
        found.append((name, level, fields))

    monkeypatch.setattr(pruner, "log_event", note)
    return found


@pytest.fixture
def client() -> redis.asyncio.Redis:
    return fakeredis.FakeAsyncRedis()


async def fill(
    client: redis.asyncio.Redis, letters: int, *, at_ms: int = LATELY, order: bool = False
) -> None:
    header = Header(
        account="default",
        lane="purchase",
        user="ann",
        reason=Reason.REJECTED,
        detail="no",
        first_seen_ms=at_ms,
        died_at=at_ms,
        order=order,
    )
    await bury(client, "default", [(f"{at_ms} {order} {n}", header) for n in range(letters)])


async def keep(client: redis.asyncio.Redis) -> bool:
    """As one process does once a minute; whether a person will be told that letters were lost."""
    await pruner.keep(DeadLetters(client, "default"), SETTINGS)
    return bool(await client.exists(keys.dead_told("default")))


async def test_letters_that_expire_raise_no_alert(client: redis.asyncio.Redis, said: Said) -> None:
    """It is what DEAD_KEEP says."""
    await fill(client, 20, at_ms=OLD)
    assert not await keep(client)
    assert said == [
        ("dead_letters_expired", logging.INFO, {"account": "default", "letters": 20}),
    ]


async def test_too_many_letters_are_an_error_and_an_alert(
    client: redis.asyncio.Redis, said: Said
) -> None:
    """One of each a pass, however many letters go; names and numbers, nothing of an event."""
    await fill(client, 30)
    await fill(client, 12, order=True)
    assert await keep(client)
    fields = {"account": "default", "letters": 32, "orders": 2, "most": 10}
    assert said == [("dead_letters_trimmed", logging.ERROR, fields)]


async def test_each_pass_of_a_flood_is_in_the_log(client: redis.asyncio.Redis, said: Said) -> None:
    await fill(client, 30)
    await keep(client)
    for minute in range(1, 4):
        await fill(client, 5, at_ms=LATELY + minute)
        await keep(client)
    assert [fields["letters"] for _, _, fields in said] == [20, 5, 5, 5]


async def test_twenty_orders_a_day_with_the_id_of_another_are_in_the_log(
    client: redis.asyncio.Redis, said: Said
) -> None:
    """Once a day: the shop's order ids are no ids."""
    for count in (19, 20, 400):
        await client.set(keys.orders_reused("default"), count)
        await pruner.watch_order_ids(client, "default")
    assert said == [("order_ids_reused", logging.WARNING, {"account": "default", "orders": 20})]


async def test_the_pruner_keeps_every_account_and_outlives_a_redis_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The minute after, and the account after, it goes on."""
    kept: list[str] = []

    async def fail_once(letters: DeadLetters, *_: Any) -> None:
        kept.append(letters.account)
        if len(kept) == 1:
            raise redis.exceptions.ConnectionError
        if len(kept) == 4:
            raise KeyboardInterrupt

    async def skip(_seconds: float) -> None:
        """No minute passes."""

    accounts = {name: AccountSettings(name=name) for name in ("default", "shoes")}
    monkeypatch.setattr(pruner, "keep", fail_once)
    monkeypatch.setattr("workers.pruner.asyncio.sleep", skip)
    with pytest.raises(KeyboardInterrupt):
        await pruner.prune_forever(
            fakeredis.FakeAsyncRedis(), Settings(accounts=accounts), ManualClock(NOW)
        )
    assert kept == ["default", "shoes"] * 2
