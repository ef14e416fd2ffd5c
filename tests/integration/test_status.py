"""How everything stands, read from a real Redis that the real scripts have written."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest
import redis.asyncio

from pipeline.cli.status import describe_gate
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure, Gates
from pipeline.mailbox.claim import Entry, Settlement
from pipeline.ratelimit.slots import pace
from pipeline.settings import AccountSettings, Settings
from pipeline.status import lanes, raw
from pipeline.status.report import read_status
from pipeline.storage import keys
from pipeline.storage.verdict import Verdict
from tests.support.letters import Pipeline, order, track

COUNTS = ("delivered", "dead", "ignored", "duplicates", "waiting", "removed")


@pytest.fixture
def pipeline(client: redis.asyncio.Redis) -> Pipeline:
    return Pipeline(client)


async def status(pipeline: Pipeline) -> dict[str, Any]:
    return await read_status(pipeline.redis, pipeline.settings, "redis://:pw@127.0.0.1:1/0")


async def account(pipeline: Pipeline) -> dict[str, Any]:
    found: dict[str, Any] = (await status(pipeline))["accounts"]["default"]
    return found


async def test_an_empty_installation_has_every_key(pipeline: Pipeline) -> None:
    """Shapes are a contract: a script that reads them must not have to ask whether a key is there."""
    found = await status(pipeline)
    assert found["redis_url"] == "redis://127.0.0.1:1/0", "no password"
    assert (found["version"], found["format"]) == (version("sailpipe"), keys.FORMAT_NUMBER)
    raw_stream = {"backlog": 0, "held": 0, "oldest_s": None}
    assert found["headline"] == "NOTHING runs: no worker, no splitter, no HTTP"
    assert (found["processes"], len(found["needs_person"])) == ([], len(Lane) + 1)
    assert (found["target"], found["raw"], found["jobs"]) == ("sandbox", raw_stream, [])
    assert (found["removed_accounts"], found["unknown_accounts"]) == ([], [])
    one = found["accounts"]["default"]
    assert one["counts"] == dict.fromkeys(("enqueued", "derived", *COUNTS), 0)
    assert one["order_id_reused"] == 0
    assert (one["gates"], one["dead"], one["ignored"], one["trimmed"]) == ([], {}, {}, {})
    assert (one["notes"], one["shared_ids"]) == ({}, {})
    assert list(one["lanes"]) == list(Lane)
    assert one["lanes"]["event"] == {
        "backlog": 0,
        "oldest_s": None,
        "retrying": 0,
        "waiting_email": 0,
        "waiting_other": 0,
        "late_s": 0.0,
        "rate": round(pace(40), 2),
        "limit": 40.0,
        "complete": True,
        "headers": None,
        "measured": None,
        "prospect": "keeps_up",
        "clears_at": None,
    }
    assert one["delivered_per_minute"] is None


async def test_every_event_is_counted_exactly_once(pipeline: Pipeline) -> None:
    """`enqueued` is the sum of the other six (I1), wherever each of them is."""
    group = {"type": "group", "userId": "u", "groupId": "g", "messageId": "g1"}
    await pipeline.kill(track(1), track(2), reason=Reason.TOO_OLD)
    await pipeline.send(track(3), track(3), group, b"no json")
    await pipeline.split()
    claim = await pipeline.claim("u3", Lane.EVENT)
    await pipeline.mailboxes.settle(Settlement(claim, pop=1, count={"delivered": 1}, back=True))
    await pipeline.moves.drop(["m1"])
    await pipeline.send(track(4))
    await pipeline.split()
    await pipeline.send(track(5), track(6))
    one = await account(pipeline)
    assert one["counts"] == {
        "enqueued": 9,
        "derived": 0,
        "delivered": 1,
        "dead": 2,
        "ignored": 1,
        "duplicates": 1,
        "waiting": 3,
        "removed": 1,
    }
    assert one["dead"] == {"invalid_json": 1, "too_old": 1}
    assert sum(one["ignored"].values()) == 1
    assert (await status(pipeline))["raw"]["backlog"] == 2


async def test_a_second_entry_of_an_event_is_counted_as_derived(pipeline: Pipeline) -> None:
    """`enqueued` and `derived` are the sum of the other six."""
    optout = {"integrations": {"Sailthru": {"optoutValue": "all"}}}
    await pipeline.send(track(1) | optout, track(2))
    await pipeline.split()
    counts = (await account(pipeline))["counts"]
    assert (counts["enqueued"], counts["derived"], counts["waiting"]) == (2, 1, 3)


async def test_what_an_id_is_shared_by_is_shown_and_counts_no_event_twice(
    pipeline: Pipeline,
) -> None:
    """`enqueued` stays the sum of the other six."""
    await pipeline.send(track(1) | {"userId": "guest"}, track(2))
    await pipeline.split()
    claim = await pipeline.claim("u2", Lane.EVENT)
    count = {"delivered": 1, "notes:properties.products[].image_url": 4}
    await pipeline.mailboxes.settle(Settlement(claim, pop=1, count=count, back=True))
    one = await account(pipeline)
    assert one["shared_ids"] == {"SHARED_IDS": 1}
    assert one["notes"] == {"properties.products[].image_url": 4}
    assert (one["counts"]["enqueued"], one["counts"]["waiting"]) == (2, 1)


async def test_letters_that_were_trimmed_are_shown_and_counted_as_removed(
    pipeline: Pipeline,
) -> None:
    """`enqueued` stays the sum of the other six."""
    await pipeline.kill(track(1), track(2), track(3))
    await DeadLetters(pipeline.redis, "default").trim(1)
    one = await account(pipeline)
    assert one["trimmed"] == {"rejected": 2}
    assert (one["counts"]["enqueued"], one["counts"]["removed"], one["dead"]) == (
        3,
        2,
        {"rejected": 1},
    )


async def test_a_lane_shows_what_its_mailboxes_wait_for(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the event at the head, whether the mailbox is due, due later, or leased to a worker."""
    monkeypatch.setattr(lanes, "CHUNK", 2)
    await pipeline.send(*(order(n) for n in range(5)))
    await pipeline.split()
    for user in ("u0", "u1", "u2"):
        await pipeline.wait_for_email(user)
    await pipeline.fail_once("u3", Lane.PURCHASE)
    await pipeline.claim("u4", Lane.PURCHASE)
    lane = (await account(pipeline))["lanes"]["purchase"]
    assert (lane["backlog"], lane["waiting_email"], lane["retrying"]) == (5, 3, 1)
    assert lane["complete"]
    assert 0 <= lane["oldest_s"] < 60
    monkeypatch.setattr(lanes, "MAX_DUE_LATER", 3)
    assert not (await account(pipeline))["lanes"]["purchase"]["complete"]


@pytest.mark.parametrize("place", ["due", "leased", "due later"])
async def test_the_oldest_event_is_found_wherever_its_mailbox_is(
    pipeline: Pipeline, place: str
) -> None:
    """One that is retried is due later than all others, and yet it may be the oldest."""
    await pipeline.send(track(1), track(2))
    await pipeline.split()
    if place == "leased":
        await pipeline.claim("u1", Lane.EVENT)
    elif place == "due later":
        await pipeline.fail_once("u1", Lane.EVENT)
    seconds, _ = await pipeline.redis.time()
    mail = keys.mail("default", Lane.EVENT, "u1")
    blob: Any = await pipeline.redis.lpop(mail)
    old = replace(Entry.decode(blob), seq=f"{(seconds - 3600) * 1000}-0")
    await pipeline.redis.lpush(mail, old.encode())
    assert (await account(pipeline))["lanes"]["event"]["oldest_s"] == pytest.approx(3600, abs=60)


async def test_gates_say_why_nothing_moves(pipeline: Pipeline) -> None:
    """Scope, reason, since when, until when; a lane behind one aims at no calls at all, also while one is tried."""
    gates = Gates(pipeline.redis, "default")
    far = 4_000_000_000_000
    await gates.close(Closure("event", "paused", 0, 1_000, "by the operator"))
    await gates.close(Closure("POST /purchase", "throttled", far, 2_000))
    await gates.close(Closure("track", "circuit", 1, 3_000))
    one = await account(pipeline)
    assert one["gates"][0] == {
        "scope": "event",
        "reason": "paused",
        "until": None,
        "since": "1970-01-01T00:00:01.000+00:00",
        "detail": "by the operator",
    }
    assert [gate["reason"] for gate in one["gates"]] == ["paused", "throttled", "circuit"]
    assert one["gates"][1]["until"] == "2096-10-02T07:06:40.000+00:00"
    rates = {name: lane["rate"] > 0 for name, lane in one["lanes"].items()}
    assert {name for name, moves in rates.items() if not moves} == {"event", "purchase", "page"}


async def test_a_full_redis_is_a_closed_gate(pipeline: Pipeline) -> None:
    """No process sets this gate: Redis itself reports it."""
    await pipeline.send(track(1))
    used = int((await pipeline.redis.info("memory"))["used_memory"])
    await pipeline.redis.config_set("maxmemory", used // 2)
    try:
        gates = (await account(pipeline))["gates"]
    finally:
        await pipeline.redis.config_set("maxmemory", 0)
    assert [(gate["scope"], gate["reason"]) for gate in gates] == [("redis", "redis_full")]


async def test_what_producers_are_refused_for_is_a_closed_gate(pipeline: Pipeline) -> None:
    """The splitter's verdict is shown as it stands: on memory to every account, on a lane to its own."""
    verdict = Verdict(85, {"default": {"event": 1_000_001}, "shoes": {"user": 2_000_000}})
    await pipeline.redis.set(keys.VERDICT, verdict.encode())
    gates = (await account(pipeline))["gates"]
    assert [describe_gate(gate) for gate in gates] == [
        "Closed: redis is above MEMORY_HIGH (85% of its memory in use: new events are refused)",
        "Closed: event is at its LANE_BOUND (1000001 events wait: new ones are refused)",
    ]


async def test_the_raw_backlog_is_shared_out_to_its_accounts(
    client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exact for what is looked at, in proportion behind it; unknown accounts are the default's."""
    names = ("default", "shoes")
    settings = Settings(accounts={name: AccountSettings(name=name) for name in names})
    pipeline = Pipeline(client, settings)
    for number, name in enumerate(["default", "shoes", "shoes", "nobody"] * 2):
        await pipeline.send(track(number), account=name)

    async def waiting() -> list[int]:
        found = await status(pipeline)
        return [found["accounts"][name]["counts"]["waiting"] for name in names]

    monkeypatch.setattr(raw, "CHUNK", 3)
    assert await waiting() == [4, 4]
    monkeypatch.setattr(raw, "MAX_ENTRIES_READ", 3)
    assert await waiting() == [3, 5]
    monkeypatch.undo()
    only = await read_status(client, settings, "redis://127.0.0.1:1/0", only=["shoes"])
    assert list(only["accounts"]) == ["shoes"]
