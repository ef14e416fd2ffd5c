"""A person is erased among a million others' things: a case of `benchmarks.script_cases`."""

from __future__ import annotations

import json

from benchmarks.script_shop import BIG, SMALL, Shop
from pipeline.clock import ManualClock
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.events.models import Lane
from pipeline.forget.forgetting import Forgetting
from pipeline.storage import keys
from pipeline.storage.numbers import AUDIT_KEPT
from pipeline.trace.log import TraceLog
from pipeline.trace.names import person_name
from pipeline.trace.records import Fate, Record

DEVICES = 100
"""Of one person: as many as are remembered of a user (MERGED_KEPT)."""


async def forgetting(shop: Shop) -> None:
    """Large raw entries, mailboxes and letters, a full log of outcomes, a person with a hundred devices in every block of it."""
    devices = [f"device-{number}" for number in range(DEVICES)]
    own = BIG.replace(b'"userId":"u"', b'"userId":"u1"')
    await shop.accept([BIG, own, SMALL] * 200)
    await shop.run(
        ("XADD", keys.HELD, "*", "event", own, "account", "unknown", "held", shop.now)
        for _ in range(50)
    )
    for lane in Lane:
        await shop.fill(lane, ["u1", *devices, "other"], 10)
    await shop.fill(Lane.EVENT, ["u1", "large"], 60, BIG)
    await shop.run(("HSET", keys.aliases("default", "0"), f"anon:{one}", "1 u1") for one in devices)
    await shop.bury(300, user="u1")
    await _fill_log(shop, devices)
    audit = AuditTrail(shop.redis, "default")
    for number in range(AUDIT_KEPT // 20):
        await audit.record(Act("eve", "replay", f"user u{number}", 1))
    seen = json.dumps({f"{n}@example.com": 1 for n in range(5)} | {"u1@example.com": 1})
    await shop.redis.set(keys.seen("default", "many"), seen)
    await shop.redis.hset(keys.user("default", "u1"), "email", "u1@example.com")
    wakeup = json.dumps({"body": "W1siZGVmYXVsdCIsImV2ZW50IixbInUxIiwidTIiXV0se30se31d"})
    await shop.redis.lpush(keys.celery_queue("event"), *[f"{n}" for n in range(999)], wakeup)
    doing = Forgetting(
        shop.redis,
        shop.boxes.settings,
        "default",
        ManualClock(shop.boxes.clock.now()),
        time_ms=shop.boxes.now_ms,
    )
    await doing.erase(await doing.plan("u1"), by="eve")


async def _fill_log(shop: Shop, devices: list[str]) -> None:
    """Four names a record, and the person's in each block."""
    log = TraceLog(shop.redis, "default")
    names = tuple(person_name(f"u{number}") for number in range(10, 14))
    for start in range(0, 40_000, 1_000):
        ids = [f"m{number}" for number in range(start, start + 1_000)]
        records = [Record(one, Fate.DELIVERED, names=names) for one in ids]
        records[500] = Record(ids[500], Fate.DELIVERED, user="u1", names=(person_name("u1"),))
        await log.write(records, 4 << 20)
    await log.write([Record("d", Fate.DELIVERED, names=(person_name(devices[0]),))], 4 << 20)
