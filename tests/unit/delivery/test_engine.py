"""What a worker process owns, put together from settings: over fakeredis and a transport in process."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import fakeredis
import httpx
import redis.exceptions

from pipeline.clock import SystemClock
from pipeline.delivery.engine import Engine, Seams
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure
from pipeline.gates.slow_start import FIRST
from pipeline.mailbox.claim import WakeResult
from pipeline.mailbox.store import MailboxStore
from pipeline.sailthru.answers import Accepted
from pipeline.sailthru.answers import Answer as Answered
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings, Settings
from pipeline.splitter.loop import Splitter
from pipeline.storage import keys
from tests.support.letters import Pipeline, track

DEADLINE_S = 10.0
Answer = Callable[[httpx.Request], httpx.Response]


@asynccontextmanager
async def open_engine(
    answer: Answer, *others: AccountSettings, **options: Any
) -> AsyncIterator[tuple[Engine, list[Closure]]]:
    """An engine whose HTTP goes to `answer`, and the closings of gates that raise an alert.

    `options` are the default account's; there may be others beside it.
    """
    alerts: list[Closure] = []

    account = AccountSettings(api_key="key", api_secret="secret", **options)
    accounts = {one.name: one for one in (account, *others)}
    settings = Settings(accounts=accounts)
    client = fakeredis.FakeAsyncRedis()
    engine = Engine(
        settings,
        client,
        SystemClock(),
        random.Random(1),
        Seams(httpx.MockTransport(answer), alert=lambda _, closure: alerts.append(closure)),
    )
    try:
        yield engine, alerts
    finally:
        await engine.close()


async def post(engine: Engine, *users: str) -> None:
    """Accept and split an identify of each user."""
    for user in users:
        event = {"type": "identify", "userId": user, "traits": {"email": f"{user}@example.org"}}
        await engine.redis.xadd(keys.RAW, {"event": json.dumps(event)})
    settings = Settings(accounts={"default": AccountSettings()})
    await engine.redis.set(keys.SPLITTER, "splitter")
    await Splitter(engine.redis, settings, "splitter", lambda _due: None, SystemClock()).step()


async def deliver(engine: Engine) -> None:
    """Deliver what is due in the lane of identifies, one mailbox after the other."""
    bound, _ = engine.bounds("default", Lane.USER)
    leased = await engine.stores["default"].wake(
        Lane.USER, bound=bound, max_queue_length=10, own_tick=0
    )
    engine.observe_gate("default", Lane.USER, leased.gate)
    for box in leased.boxes:
        await engine.deliver("default", Lane.USER, box)


async def test_an_event_is_delivered_with_what_the_settings_say() -> None:
    """Signed with the account's key, to its host."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"ok": True})

    async with open_engine(answer) as (engine, alerts):
        await post(engine, "u1")
        await deliver(engine)
        assert await engine.redis.hget(keys.counts("default"), "delivered") == b"1"
    (request,) = seen
    assert str(request.url) == "https://api.sailthru.com/user"
    assert b"api_key=key" in request.content
    assert alerts == []


async def test_mailboxes_that_are_delivered_side_by_side_share_script_calls() -> None:
    """Claims go together, and settlements wait for each other while much is in hand."""
    users = [f"u{n}" for n in range(12)]
    answer = httpx.Response(200, json={"ok": True})
    async with open_engine(lambda _: answer) as (engine, _):
        await post(engine, *users)
        store, calls = engine.stores["default"], Counter[str]()
        run = store._scripts.run

        def noted(name: str, *rest: Any) -> asyncio.Future[Any]:
            calls[name] += 1
            return run(name, *rest)

        leased = await store.wake(Lane.USER, bound=12, max_queue_length=10, own_tick=0)
        with patch.object(store._scripts, "run", noted):
            deliveries = (engine.deliver("default", Lane.USER, box) for box in leased.boxes)
            await asyncio.gather(*deliveries)
        assert await engine.redis.hget(keys.counts("default"), "delivered") == b"12"
        assert calls["claim"] == 1
        assert calls["settle"] < 12
        assert engine.leases.held == set()


async def test_an_engine_that_is_opened_with_a_sender_calls_nothing_else() -> None:
    """A dry run, or a test, needs no other wiring."""
    client, settings = fakeredis.FakeAsyncRedis(), Settings(accounts={"default": AccountSettings()})
    sent: list[Call] = []

    class Taking:
        async def send(self, call: Call, is_over: Callable[[], bool]) -> Answered:
            sent.append(call)
            return Accepted(200, {"ok": True})

    engine = await Engine.open(settings, client, SystemClock(), random.Random(1), sender=Taking())
    try:
        await post(engine, "u1")
        await deliver(engine)
        assert await engine.redis.hget(keys.counts("default"), "delivered") == b"1"
    finally:
        await engine.close()
    assert [call.bucket for call in sent] == ["POST /user"]


async def test_an_account_has_its_own_leases_and_time_for_a_call() -> None:
    """Another's shorter leases would never leave it the time that one of its calls may take."""
    other = AccountSettings(name="other", api_key="other", api_secret="secret")
    patient = {"lease": 30.0, "http_timeout": 20.0}
    answer = httpx.Response(200, json={"ok": True})
    async with open_engine(lambda _: answer, other, **patient) as (engine, _):
        await post(engine, "u1")
        await asyncio.wait_for(deliver(engine), DEADLINE_S)
        assert await engine.redis.hget(keys.counts("default"), "delivered") == b"1"


async def test_wrong_credentials_are_alerted_once_and_without_secrets() -> None:
    """Many calls find out; one closing raises an alert."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"error": 3, "errormsg": "Invalid API key: key"})

    async with open_engine(answer) as (engine, alerts):
        await post(engine, "u1", "u2")
        await deliver(engine)
        await deliver(engine)
    (alert,) = alerts
    assert (alert.reason, alert.scope) == ("misconfigured", "api")
    assert "u1" not in alert.detail


async def test_a_lane_whose_gate_was_closed_is_leased_little_at_first() -> None:
    """The rate alone would allow hundreds."""
    async with open_engine(lambda request: httpx.Response(200, json={"ok": True})) as (engine, _):
        assert engine.bounds("default", Lane.USER)[0] > 100
        engine.observe_gate("default", Lane.USER, "closed")
        engine.observe_gate("default", Lane.USER, "open")
        assert FIRST <= engine.bounds("default", Lane.USER)[0] < 100
        assert engine.bounds("default", Lane.EVENT)[0] > FIRST


async def test_mailboxes_of_an_account_that_a_process_does_not_know_go_back_at_once() -> None:
    """It took a message of processes whose settings are newer: those deliver, and not only after a lease."""
    client = fakeredis.FakeAsyncRedis()
    store = MailboxStore(client, "shoes", target="elsewhere")
    settings = Settings(
        accounts={name: AccountSettings(name=name) for name in ("default", "shoes")}
    )
    pipeline = Pipeline(client, settings, "shoes")
    await pipeline.send(track(1), track(2))
    await pipeline.split()

    async def wake() -> WakeResult:
        return await store.wake(Lane.EVENT, bound=9, max_queue_length=9, own_tick=0)

    first = await wake()
    knows_default = Settings(accounts={"default": AccountSettings()})
    engine = Engine(knows_default, client, SystemClock(), random.Random(1), Seams())
    await engine.hand_back("shoes", Lane.EVENT, first.boxes)
    again = await wake()
    await engine.close()
    assert set(first.boxes) == {"u1", "u2"}
    assert (set(again.boxes), again.in_process) == ({"u1", "u2"}, "shared")


async def test_how_long_calls_took_is_written_at_the_end_and_kept_while_redis_is_away() -> None:
    """A worker that stops takes nothing along, and one without Redis forgets nothing."""
    async with open_engine(lambda _: httpx.Response(200, json={"ok": True})) as (engine, _):
        ended = engine.accounts["default"].context.caller.ended
        ended.append(("POST /event", Accepted(200, {}, duration_s=0.2)))
        with patch.object(engine.redis, "pipeline", side_effect=redis.exceptions.ConnectionError):
            await engine.write_times()
        await engine.write_times()
        await engine.write_times()
        found = await engine.redis.hgetall(keys.calls("default"))
    assert found == {b"POST /event|ok|0.25": b"1", b"POST /event|ok|sum": b"200"}
