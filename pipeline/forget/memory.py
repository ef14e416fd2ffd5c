"""What is kept under a key of its own: mailboxes, what was learned of users, carts, order reservations, words of people.

All keys of the account are passed once, some hundred at a time.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.forget.mailboxes import look_into, take_boxes
from pipeline.forget.person import spelled
from pipeline.forget.spaces import Space
from pipeline.forget.words import redact_deaths, redact_gates, redact_job
from pipeline.forget.work import HOLDERS_SHOWN, Work
from pipeline.mapping.profile import profile_name
from pipeline.ownership.keyspace import each_key
from pipeline.storage import keys
from pipeline.storage.keys import KeyKind, kind_of

_NAMED: dict[KeyKind, Space] = {
    KeyKind.USER: Space.MEMORY,
    KeyKind.CART: Space.CARTS,
    KeyKind.CART_OF: Space.CARTS,
    KeyKind.SEEN: Space.SIGHTINGS,
}
"""Keys that are named after a user or an email."""
AT_ONCE = 100
"""Mailboxes that are looked into in one round trip, unless they hold too much."""
_INDEXES = ("by:user:", "email:")
"""Keys of dead letters that are."""
_REMEMBERED = ("email", "merged", "last_identify", "refused")


async def sweep_keys(work: Work) -> None:
    """Everything that a key's name or content says is the person's."""
    carts = [keys.cart(work.account, one) for one in spelled(work.person.ids)]
    there: Any = await work.redis.mget(carts)
    work.carts.update(filter(None, there))
    async for names in each_key(work.redis, work.account):
        by_kind: dict[KeyKind | None, list[str]] = defaultdict(list)
        for name in names:
            by_kind[kind_of(name)].append(name.decode("utf-8", "replace"))
        for kind, found in by_kind.items():
            await _sweep_kind(work, kind, found)


async def _sweep_kind(work: Work, kind: KeyKind | None, names: Sequence[str]) -> None:
    rests = [name.partition(":")[2] for name in names]
    match kind:
        case KeyKind.MAIL | KeyKind.STATE:
            await _sweep_boxes(work, kind, rests)
        case KeyKind.USER | KeyKind.CART | KeyKind.CART_OF | KeyKind.SEEN:
            await _sweep_named(work, kind, rests)
        case KeyKind.DEAD:
            await _sweep_indexes(work, rests)
        case KeyKind.ORDER:
            await _sweep_orders(work, rests)
        case KeyKind.JOBS:
            for rest in rests:
                if rest.startswith("job:"):
                    await redact_job(work, rest.removeprefix("job:"))
        case KeyKind.GATES:
            for rest in rests:
                await redact_gates(work, rest)
        case KeyKind.DIED:
            for rest in rests:
                await redact_deaths(work, rest)


async def _sweep_boxes(work: Work, kind: KeyKind, rests: Sequence[str]) -> None:
    boxes = [(lane, box) for lane, _, box in (rest.partition(":") for rest in rests)]
    theirs = [(lane, box) for lane, box in boxes if work.person.is_named(box)]
    if work.removes:
        if theirs:
            await take_boxes(work, dict.fromkeys(box for _, box in theirs))
        return
    if kind is KeyKind.STATE:
        work.standing.update(theirs)
        return
    for start in range(0, len(boxes), AT_ONCE):
        await look_into(work, boxes[start : start + AT_ONCE])


async def _sweep_named(work: Work, kind: KeyKind, rests: Sequence[str]) -> None:
    theirs = [rest for rest in rests if work.person.is_named(rest)]
    if kind is KeyKind.CART_OF and work.carts:
        found: Any = await work.redis.mget([_key(work, kind, rest) for rest in rests])
        theirs = [
            rest
            for rest, cart in zip(rests, found, strict=True)
            if cart in work.carts or rest in theirs
        ]
    work.see(_NAMED[kind], len(rests), theirs=len(theirs))
    if theirs and work.removes:
        await work.redis.unlink(*(_key(work, kind, rest) for rest in theirs))
    others = [rest for rest in rests if rest not in {*theirs}]
    if kind is KeyKind.SEEN and others:
        await _sweep_sightings(work, others)
    elif kind is KeyKind.USER and others and not work.removes:
        await _look_at_others(work, others)


def _key(work: Work, kind: KeyKind, rest: str) -> str:
    return f"{work.prefix}{kind.value}:{rest}"


async def _sweep_sightings(work: Work, rests: Sequence[str]) -> None:
    """Emails that an id of others came with today are only counted: one fewer does no harm."""
    found: Any = await work.redis.mget([_key(work, KeyKind.SEEN, rest) for rest in rests])
    for rest, text in zip(rests, found, strict=True):
        seen = json.loads(text) if text else {}
        left = {email: at for email, at in seen.items() if not work.person.is_named(email)}
        if left != seen:
            work.see(Space.SIGHTINGS, 0, theirs=1)
            if work.removes:
                new = json.dumps(left) if left else ""
                await work.run("swap", ["", text, new], _key(work, KeyKind.SEEN, rest))


async def _look_at_others(work: Work, rests: Sequence[str]) -> None:
    """An address may be remembered of two users: the other one's memory stays."""
    async with work.redis.pipeline(transaction=False) as pipe:
        for rest in rests:
            pipe.hmget(_key(work, KeyKind.USER, rest), *_REMEMBERED)
        rows = await pipe.execute()
    for rest, (email, merged, last, refused) in zip(rests, rows, strict=True):
        said = [email.decode()] if email else []
        for text in (merged, last, refused):
            said += json.loads(text or "[]")
        if any(isinstance(one, str) and work.person.is_named(one) for one in said):
            work.see(Space.MEMORY, 0, named=1)
            if len(work.holders) < HOLDERS_SHOWN:
                work.holders.add(rest)


async def _sweep_indexes(work: Work, rests: Sequence[str]) -> None:
    """They are empty, and gone, once the letters are."""
    for rest in rests:
        begin = next((one for one in _INDEXES if rest.startswith(one)), None)
        is_theirs = begin is not None and work.person.is_named(rest.removeprefix(begin))
        if is_theirs and not work.found[Space.LETTERS].theirs:
            work.see(Space.LETTERS, 0, theirs=1)
            if work.removes:
                await work.redis.unlink(_key(work, KeyKind.DEAD, rest))


async def _sweep_orders(work: Work, rests: Sequence[str]) -> None:
    async with work.redis.pipeline(transaction=False) as pipe:
        for rest in rests:
            pipe.hgetall(keys.order(work.account, rest))
        tables = await pipe.execute()
    theirs = [
        rest
        for rest, table in zip(rests, tables, strict=True)
        if work.is_order(rest) or any(map(work.person.is_named, _boxes_of_order(table)))
    ]
    work.see(Space.ORDERS, len(rests), theirs=len(theirs))
    if theirs and work.removes:
        await work.redis.unlink(*(keys.order(work.account, rest) for rest in theirs))


def _boxes_of_order(table: Mapping[bytes, bytes]) -> list[str]:
    """The mailboxes that an order's reservation names: who is to post it, and who waits for it."""
    waiter = table.get(b"waiter", b"").decode("utf-8", "replace")
    said = [value.decode("utf-8", "replace") for value in table.values()]
    return [waiter, *(one.removeprefix("@") for one in said if one.startswith("@"))]


async def sweep_profiles(work: Work) -> None:
    """Of whom Sailthru said within the hour that it has a profile: hashes, which only who knows the id can name."""
    names = [
        keys.found(work.account, profile_name(key, one))
        for one in spelled(work.person.ids)
        for key in ("extid", "email")
    ]
    there = await work.redis.exists(*names)
    work.see(Space.PROFILES, len(names), theirs=there)
    if there and work.removes:
        await work.redis.unlink(*names)
