"""The largest batch that each Lua script is given, and who gives it: what `benchmarks.script_times` runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from benchmarks.script_forget import forgetting
from benchmarks.script_letters import LETTER_CASES
from benchmarks.script_shop import BIG, SMALL, Shop
from pipeline.clock import ManualClock, SystemClock
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.letter import Header
from pipeline.delivery.capacity import MAX_LEASED, PROCESS_CLAIMS
from pipeline.events.models import Lane
from pipeline.gates.brake import MAX_DEATHS, WINDOW_MS
from pipeline.gates.gates import Closure, Gates
from pipeline.ingest.shares import Shares
from pipeline.ingest.write_keys import Grant
from pipeline.mailbox.claim import Claim, Entry, Settlement
from pipeline.mailbox.due_lanes import DueLanes
from pipeline.mailbox.moves import Doomed, WaitingMoves
from pipeline.mailbox.reservations import Reservation
from pipeline.ownership.accounts import enrol_accounts
from pipeline.ownership.adopt import adopt
from pipeline.ownership.reset import reset
from pipeline.ratelimit.slots import Ask, Bucket
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.roles import Role, WriteKey
from pipeline.settings import AccountSettings, Settings
from pipeline.splitter.aliases import forget_old_aliases
from pipeline.splitter.held import ENTRIES_A_CALL, HeldEntries
from pipeline.splitter.pressure import Pressure
from pipeline.splitter.stream import BATCH
from pipeline.status.lanes import CHUNK
from pipeline.status.report import read_status
from pipeline.status.seek import seek
from pipeline.status.waiting import read_waiting
from pipeline.storage import keys
from pipeline.storage.format import check_format_async
from pipeline.storage.numbers import (
    ALIASES_A_BUCKET,
    EXPIRED_PER_WAKE,
    MAX_BASKETS,
    RAW_READ_BYTES,
    SINGLY_AFTER,
    SUSPECTS_PASSED_OVER,
    SWEEPS,
    SWEPT_BUCKETS,
)
from pipeline.storage.scripts import Scripts, source
from pipeline.targets import Target
from pipeline.trace.log import TraceLog
from pipeline.trace.names import person_name
from pipeline.trace.records import Fate, Record
from tests.support.mailboxes import track

ACCOUNTS = 100


# Mailboxes


async def suspects(shop: Shop) -> None:
    """5,000 mailboxes with strikes are passed over; others are due behind them."""
    names = [f"s{n}" for n in range(5_000)]
    await shop.fill(Lane.EVENT, names, strikes=SINGLY_AFTER, singles=1)
    shop.boxes.clock.advance(1)
    await shop.fill(Lane.EVENT, (f"u{n}" for n in range(MAX_LEASED)))
    for _ in range(5_000 // SUSPECTS_PASSED_OVER):
        await shop.wake(Lane.EVENT)


async def all_at_once(shop: Shop) -> None:
    """A clock set back while 2,000 are leased and a million due; expired leases; and 2,000 to lease anew."""
    await shop.fill(Lane.EVENT, (f"o{n}" for n in range(MAX_LEASED)))
    await shop.own(Lane.EVENT, await shop.wake(Lane.EVENT))
    await shop.run(
        ("ZADD", keys.due("default", Lane.EVENT), *(word for n in range(1_000) for word in (shop.now + 30_000 + n, f"d{k}-{n}")))
        for k in range(1_000)
    )  # fmt: skip
    await shop.fill(Lane.EVENT, (f"u{n}" for n in range(MAX_LEASED)))
    expired = [(box, at) for n, box in enumerate(await shop.boxes.leased(Lane.EVENT)) for at in [n]]
    await shop.run(
        ("ZADD", keys.leased("default", Lane.EVENT), shop.now - 100_000, box)
        for box, _ in expired[:EXPIRED_PER_WAKE]
    )
    shop.boxes.clock.advance(-60)
    for _ in range(5):
        await shop.wake(Lane.EVENT, bound=2 * MAX_LEASED)
    tick = (await shop.store.wake(Lane.EVENT, bound=1, max_queue_length=1, own_tick=0)).now
    shop.boxes.clock.advance(60)
    await shop.wake(Lane.EVENT, own_tick=tick, reckoned=tick)


async def claims(shop: Shop) -> None:
    """As many as a process claims at a time, of many small events and of few large ones; all are renewed."""
    for lane, raw in ((Lane.EVENT, SMALL), (Lane.USER, BIG)):
        await shop.fill(
            lane, (f"u{n}" for n in range(PROCESS_CLAIMS // 2)), 40 if raw is SMALL else 3, raw
        )
        owned = await shop.own(lane, await shop.wake(lane))
        await shop.store.renew(owned)
        await asyncio.gather(*(shop.store.settle(_delivered(one)) for one in owned))
    await shop.fill(Lane.PURCHASE, [f"u{n}" for n in range(PROCESS_CLAIMS)])
    owned = await shop.own(Lane.PURCHASE, await shop.wake(Lane.PURCHASE))
    await shop.store.renew(owned)


def _delivered(claim: Claim) -> Settlement:
    email = f"{claim.user}@example.com"
    learn = {"identified": "1", "newest:identify": "1", "email": email}
    many = len(claim.entries)
    wake = [lane for lane in Lane if lane is not claim.lane]
    cart = {"cart": "x" * 1_000, "cart_keep_ms": 60_000, "cart_of": email}
    fields = {"learn": learn, **cart, "wake": wake}
    return Settlement(claim, pop=many, count={"delivered": many}, intent="", back=True, **fields)  # type: ignore[arg-type]


async def deaths(shop: Shop) -> None:
    """Fifty settlements, each of which buries a large event with its calls, or brings letters back."""
    await shop.fill(Lane.EVENT, (f"u{n}" for n in range(200)), 1, BIG)
    dying = []
    for claim in await shop.own(Lane.EVENT, await shop.wake(Lane.EVENT)):
        header = Header(
            account="default", lane="event", user=claim.user, reason="rejected", key="1",
            first_seen_ms=1, died_at=claim.now, calls=[{"params": {"id": "x" * 15_000}}],
        )  # fmt: skip
        letter = [(1, claim.head.id, header.as_line())]
        dying.append(Settlement(claim, pop=1, dead=letter, back=True))
    await asyncio.gather(*map(shop.store.settle, dying))
    users = [f"r{n}" for n in range(50)]
    for user in users:
        await shop.bury(60, BIG, user=user, lane="purchase")
        await shop.redis.hset(keys.user("default", user), "email", "a@example.com")
    await shop.fill(Lane.PURCHASE, users)
    owned = await shop.own(Lane.PURCHASE, await shop.wake(Lane.PURCHASE))
    await asyncio.gather(*(shop.store.settle(_delivered(one)) for one in owned))


async def orders(shop: Shop) -> None:
    """One id of many baskets."""
    await shop.fill(Lane.PURCHASE, (f"u{n}" for n in range(MAX_BASKETS + 5)))
    for number, claim in enumerate(await shop.own(Lane.PURCHASE, await shop.wake(Lane.PURCHASE))):
        await shop.store.record_intent(
            claim, "x" * 9_000, Reservation("o1", f"{number:08x}", 1_000)
        )
    await shop.store.leads_to("nobody")


async def many_accounts(shop: Shop) -> None:
    """Each lane of each of a hundred accounts is asked for, and each has something."""
    lanes = [(f"a{n}", lane) for n in range(ACCOUNTS) for lane in Lane]
    for account, lane in lanes:
        members = [word for n in range(100) for word in (shop.now - n, f"u{n}")]
        sets = (keys.due, keys.due_bulk, keys.leased)
        await shop.run(("ZADD", name(account, lane), *members) for name in sets)
        await shop.run([("HINCRBY", keys.counts(account), f"waiting:{lane}", 300)])
    await DueLanes(shop.redis, time_ms=shop.boxes.now_ms).among(lanes)
    names = {f"a{n}": AccountSettings(name=f"a{n}") for n in range(ACCOUNTS)}
    settings = Settings(accounts={"default": AccountSettings(), **names})
    await shop.redis.set(keys.SPLITTER, "me")
    for share in (0.001, 2.0):
        bound = settings.model_copy(update={"memory_high": share})
        await Pressure(shop.redis, bound, "me", ManualClock()).left()
    await read_status(shop.redis, settings, "redis://127.0.0.1")


# The splitter


def _event(number: int, **fields: Any) -> bytes:
    """An event that teaches all there is to learn of a person."""
    person = {"userId": f"user-{number:08d}", "anonymousId": f"visitor-{number:08d}"}
    email = {"email": f"person{number:08d}@example.com"}
    return json.dumps(
        {"type": "identify", "messageId": f"e{number}", **person, "traits": email, **fields}
    ).encode()


async def split_small(shop: Shop) -> None:
    """Full batches of people of whom all is new: aliases, emails and dedupe keys need more room again and again."""
    for start in range(0, 20_000, BATCH):
        await shop.accept(_event(n) for n in range(start, start + BATCH))
        while await shop.boxes.split():
            pass


async def split_large(shop: Shop) -> None:
    """Batches of a megabyte."""
    large = RAW_READ_BYTES // BATCH - 200
    for start in range(0, 1_000, BATCH):
        await shop.accept(_event(n, more="x" * large) for n in range(start, start + BATCH))
    await shop.accept([BIG] * 300)
    await shop.accept([BIG.replace(b"track", b"wrong")] * 300)
    await shop.accept([BIG] * 300, account="nobody")
    while await shop.boxes.split():
        pass


async def split_recalls(shop: Shop) -> None:
    """200 users show an email in one batch, for which sixty letters of each wait."""
    for n in range(BATCH):
        await shop.bury(60, SMALL if n else BIG, user=f"user-{n:08d}", lane="purchase")
    await shop.accept(_event(n) for n in range(BATCH))
    await shop.boxes.split()
    await shop.bury(20_000, SMALL, user="user-00009999", lane="purchase")
    await shop.bury(200, BIG, user="user-00009998", lane="purchase")
    await shop.accept(_event(9_998, messageId=f"again{n}") for n in range(BATCH // 2))
    await shop.accept(_event(9_999, messageId=f"more{n}") for n in range(BATCH // 2))
    await shop.boxes.split()


async def split_exports(shop: Shop) -> None:
    """200 exported letters come back, each into the place of its letter."""
    names = await shop.bury(BATCH, BIG)
    for name in names:
        flag = {"replay": True, "letter": name, "key": "1"}
        await shop.accept([json.dumps({**track(name, "ann"), "sailpipe": flag}).encode()])
    while await shop.boxes.split():
        pass


async def given_back(shop: Shop) -> None:
    """Large events of an account that is known by now."""
    fields = ("held", shop.now, "event", BIG)
    await shop.run(("XADD", keys.HELD, "*", *fields) for _ in range(3 * ENTRIES_A_CALL))
    held = HeldEntries(shop.redis, ["default"], ManualClock(), shop.boxes.now_ms)
    await held.give_back()
    settings = Settings(accounts={"default": AccountSettings(), "b": AccountSettings(name="b")})
    await shop.run(("XADD", keys.RAW, "*", "event", BIG) for _ in range(1_500))
    await read_status(shop.redis, settings, "redis://127.0.0.1")


async def old_aliases(shop: Shop) -> None:
    """A day's part of as many aliases as one call looks at, all of them old."""
    buckets = SWEPT_BUCKETS * SWEEPS
    kept = ("buckets", buckets, "names", buckets * ALIASES_A_BUCKET, "seed", 12_345_678)
    await shop.run([("HSET", keys.alias_table("default"), *kept)])
    for n in range(SWEPT_BUCKETS):
        pairs = [word for k in range(3 * ALIASES_A_BUCKET) for word in (f"anon:v{n}-{k}", "1 user")]
        await shop.run([("HSET", keys.aliases("default", str(n)), *pairs)])
    await forget_old_aliases(shop.redis, "default", 1.0)


# Dead letters, commands, limits


async def many_letters(shop: Shop) -> None:
    """Letters of large events, with few calls and with many: listed, replayed, dropped and trimmed."""
    refused = await shop.bury(300, BIG, lane="")
    waiting = await shop.bury(600, BIG)
    await shop.bury(600, SMALL, calls=30_000)
    await shop.letters.select(Filter())
    await shop.letters.replay(refused[:200])
    await shop.letters.replay(waiting[:300])
    await shop.letters.drop(waiting[300:400])
    await shop.letters.trim(100)
    await shop.letters.is_first_trim(1.0)


async def takeover(shop: Shop) -> None:
    """`adopt` and `reset` of an account in which large events lie everywhere."""
    await _everywhere(shop)
    await adopt(shop.redis, "default", Target("dry-run"), lambda _: None)
    await _everywhere(shop)
    await reset(shop.redis, "default", ["b"], lambda _: None)
    await enrol_accounts(shop.redis, [f"a{n}" for n in range(ACCOUNTS)])
    await check_format_async(shop.redis, stamp=True)


async def _everywhere(shop: Shop) -> None:
    for lane in (Lane.EVENT, Lane.USER):
        await shop.fill(lane, (f"u{n}" for n in range(200)), 5, BIG)
        await shop.fill(lane, (f"s{n}" for n in range(200)), 100)
    await shop.own(Lane.EVENT, await shop.wake(Lane.EVENT, 100), 2)
    await shop.bury(300, BIG)
    await shop.run(("XADD", keys.RAW, "*", "event", BIG) for _ in range(1_500))
    await read_status(shop.redis, shop.boxes.settings, "redis://127.0.0.1")


async def limits_and_gates(shop: Shop) -> None:
    """What a call, a request or a death asks for."""
    slots, bucket = RedisSlotStore(shop.redis), Bucket("default", "POST /user", default=300.0)
    for _ in range(5):
        await slots.reserve(bucket, Ask(count=100))
    close = await shop.redis.script_load(
        source("pipeline.ratelimit/close")
    )  # sent whole by its caller
    await shop.redis.evalsha(close, 1, keys.slots("default", "POST /user"), "1")
    key = WriteKey("page", Role.BROWSER, 100.0)
    shares = Shares(shop.redis, {"page": Grant("default", key)}, shop.boxes.settings)
    await shares.is_bulk(Grant("default", key), 4, dict.fromkeys(Lane, 1))
    words = Scripts(
        shop.redis, "pipeline.ingest"
    )  # their callers ask Sailthru, or a request, as well
    await words.run("known_user", ["sailpipe:default:", "sailpipe:none"], ["u1", "u1@example.com"])
    await words.run(
        "once", [keys.RAW, "sailpipe:none", "sailpipe:counts"], [9, "ignored", 0, *[BIG] * 20]
    )
    await Gates(shop.redis, "default").close(Closure("event", "brake", 0, shop.now, "x" * 500))
    scripts, name = Scripts(shop.redis, "pipeline.gates"), keys.deaths("default", "event")
    minutes = [[n, 1_000] for n in range(10)]
    for number in range(2 * MAX_DEATHS):
        row = json.dumps(["cause", f"user-{number:08d}", minutes, str(number)])
        await scripts.run("death", [name], [row, shop.now, WINDOW_MS, MAX_DEATHS])


async def inquiries(shop: Shop) -> None:
    """A full log of outcomes is looked through; of what waits, small and large, one event is sought, let go and removed."""
    log = TraceLog(shop.redis, "default")
    names = tuple(person_name(f"u{n}") for n in range(4))
    for start in range(0, 60_000, 1_000):
        ids = (f"m{n}" for n in range(start, start + 1_000))
        await log.write([Record(one, Fate.DELIVERED, names=names) for one in ids], 4 << 20)
    await log.trim(0.0, 4 << 20)
    await log.write([Record("m", Fate.DELIVERED, names=names)], 1)
    await log.find([person_name("other")])
    boxes = [f"u{n}" for n in range(CHUNK)]
    await shop.fill(Lane.EVENT, boxes, 220)
    await shop.fill(Lane.USER, boxes[:40], 40, BIG)
    await shop.run(("XADD", keys.RAW, "*", "event", BIG) for _ in range(200))
    settings = shop.boxes.settings.account("default")
    await seek(shop.redis, "default", "not there", SystemClock())
    waiting = await read_waiting(shop.redis, settings)
    moves = WaitingMoves(shop.redis, "default", time_ms=shop.boxes.now_ms)
    await moves.release(Lane.EVENT, "", boxes)
    for box in [one for one in waiting.boxes if one.lane is Lane.EVENT][:20]:
        heads: Any = await shop.redis.lrange(keys.mail("default", box.lane, box.user), 0, 0)
        await moves.remove(box.lane, "", [Doomed(box.user, Entry.decode(heads[0]).seq, 1_000)])


CASES: Mapping[str, Callable[[Shop], Awaitable[None]]] = MappingProxyType(
    {
        case.__name__: case
        for case in (
            *(suspects, all_at_once, claims, deaths, orders, many_accounts),
            *(split_small, split_large, split_recalls, split_exports, given_back, old_aliases),
            *(many_letters, takeover, limits_and_gates, inquiries),
            *(*LETTER_CASES, forgetting),
        )
    }
)
