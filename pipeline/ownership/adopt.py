"""Takes over what waits for another target: events, dead letters, and the identity map.

What speaks of the other Sailthru is forgotten: carts, order ids, merges and what was identified there, calls that
were about to be made or had failed, gates that its answers closed, the log of outcomes. So are the ids that drop
repeats, and how far stopped imports are: what was sent to a trial has not been sent to the new target.

Unless another program has sent it there: of a trial beside that program, the events of its time are removed, and their
ids go on to drop repeats.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import redis.asyncio

from pipeline.deadletters.filters import Filter
from pipeline.deadletters.letter import Header, Letter
from pipeline.deadletters.store import CHUNK, DeadLetters
from pipeline.errors import SailpipeError
from pipeline.events.models import Lane
from pipeline.ownership.change import Change
from pipeline.ownership.keyspace import Done, each_due, each_key, each_leased
from pipeline.storage import keys
from pipeline.storage.keys import KeyKind, kind_of
from pipeline.targets import Target

MAX_ENTRIES = 500
"""Entries of mailboxes that are read in one script."""
HELD_A_PAGE = 1_000
FORGOTTEN_FIELDS = (
    *("merged", "identified", "last_identify", "optout", "refused"),
    *("newest:identify", "newest:cart", "newest:optout"),
)
"""Of what is remembered of a user: what deliveries to the other target have left there."""
_FORGOTTEN = frozenset(
    {
        *(
            KeyKind.CART,
            KeyKind.CART_OF,
            KeyKind.ORDER,
            KeyKind.REUSED,
            KeyKind.ONCE,
            KeyKind.FOUND,
        ),
        *(KeyKind.DEDUPE, KeyKind.DIED, KeyKind.REPLAYED, KeyKind.IMPORT, KeyKind.TRACE),
    }
)
_OF_SENT = frozenset(
    {
        *(KeyKind.DEDUPE, KeyKind.ORDER, KeyKind.REUSED, KeyKind.ONCE),
        *(KeyKind.REPLAYED, KeyKind.IMPORT),
    }
)
"""What says of events that they were sent, here or by another program."""
_POSTED = b"="
"""What an order's key says of a basket that was posted."""
_BY_A_PERSON = b"paused"


async def adopt(
    client: redis.asyncio.Redis,
    account: str,
    target: Target,
    on_done: Done,
    *,
    sent_before: int | None = None,
) -> int:
    """Make the account `target`'s. Claims of running workers end: what they had in hand is delivered anew.

    sent_before: what was accepted before that (Unix ms) another program has sent to `target`. Returns how many of these
    events still waited, and were removed.

    Raises:
        SailpipeError: a reset of the account is under way, or events from before then are not split yet.
        redis.exceptions.RedisError: Redis went away. Nothing is delivered until `adopt` has come to its end;
            it may be run again.
    """
    await check_split(client, account, sent_before)
    change = Change(client, account, "adopt")
    await change.begin()
    work = _Adoption(change, target, on_done, sent_before)
    # Claims first: then no process writes any more of what the other steps go through. Letters before
    # mailboxes, into which an email that is learned may bring them meanwhile.
    await work.end_claims()
    await work.relabel_letters()
    await work.clear_mailboxes()
    await work.forget()
    await change.end(target)
    return work.left_out


async def check_split(client: redis.asyncio.Redis, account: str, before: int | None) -> None:
    """Raises SailpipeError: of what was accepted before that time some lies in the raw stream still, where no mailbox is known,
    or is held, and would come back with another time."""
    if before is None:
        return
    found: Any = await client.xrange(keys.RAW, "-", f"({before}-0", count=1)
    if found:
        raise SailpipeError(
            f"Events of account {account} from before that time may wait to be split still: run a splitter"
            " (`sailpipe splitter`), and try again when `sailpipe status` shows an empty raw stream."
        )
    if await _is_held(client, account):
        raise SailpipeError(
            f"Events of account {account} are held because the splitter's settings do not name it: restart the"
            " splitter with these settings, and try again when `sailpipe status` holds none."
        )


async def _is_held(client: redis.asyncio.Redis, account: str) -> bool:
    begin = "-"
    while True:
        page: Any = await client.xrange(keys.HELD, begin, "+", count=HELD_A_PAGE)
        if any(fields.get(b"account") == account.encode() for _, fields in page):
            return True
        if len(page) < HELD_A_PAGE:
            return False
        begin = f"({page[-1][0].decode()}"


async def count_before(client: redis.asyncio.Redis, account: str, before: int) -> int:
    """How many events that were accepted before that time wait in mailboxes."""
    change, count = Change(client, account, "adopt"), 0
    for lane in Lane:
        for pages in (each_due(client, account, lane), _leased_page(client, account, lane)):
            async for boxes in pages:
                count += await _leave(change, lane, boxes, before, looks_only=True)
    return count


async def _leased_page(
    client: redis.asyncio.Redis, account: str, lane: Lane
) -> AsyncIterator[list[bytes]]:
    page: Any = await client.zrange(keys.leased(account, lane), 0, -1)
    if page:
        yield page


async def _leave(
    change: Change, lane: Lane, boxes: Sequence[bytes], before: int, *, looks_only: bool
) -> int:
    """Take what is older out of these mailboxes, or count it."""
    left, at, count = list(boxes), 0, 0
    while left:
        args = [lane, before, int(looks_only), MAX_ENTRIES, at, *left]
        done, at, gone = await change.scripts.run("leave", [change.prefix], args)
        count += gone
        del left[:done]
    return count


class _Adoption:
    def __init__(
        self, change: Change, target: Target, on_done: Done, sent_before: int | None
    ) -> None:
        self.left_out = 0
        self._sent_before = sent_before
        self._forgotten = _FORGOTTEN if sent_before is None else _FORGOTTEN - _OF_SENT
        self._change = change
        self._redis = change.redis
        self._target = target
        self._on_done = on_done

    async def end_claims(self) -> None:
        for lane in Lane:
            async for boxes in each_leased(self._redis, self._change.account, lane):
                await self._disown(lane, boxes)

    async def clear_mailboxes(self) -> None:
        for lane in Lane:
            async for boxes in each_due(self._redis, self._change.account, lane):
                await self._disown(lane, boxes)

    async def _disown(self, lane: Lane, boxes: Sequence[bytes]) -> None:
        if self._sent_before is not None:
            before = self._sent_before
            self.left_out += await _leave(self._change, lane, boxes, before, looks_only=False)
        left, at = list(boxes), 0
        while left:
            args = ["", lane, MAX_ENTRIES, at, *left]
            done, at = await self._change.scripts.run("disown", [self._change.prefix], args)
            del left[:done]
        self._on_done(len(boxes))

    async def relabel_letters(self) -> None:
        letters: list[Letter] = []
        async for letter in DeadLetters(self._redis, self._change.account).scan(
            Filter(), whole=True
        ):
            letters.append(letter)
            if len(letters) >= CHUNK:
                await self._relabel(letters)
                letters.clear()
        await self._relabel(letters)

    async def _relabel(self, letters: Sequence[Letter]) -> None:
        args: list[Any] = []
        for letter in letters:
            header = adopted_header(letter.header, self._target)
            if header != letter.header:
                args += [letter.id, letter.header.died_at, header.as_line()]
        if args:
            await self._change.scripts.run("relabel", [self._change.prefix], args)
        self._on_done(len(letters))

    async def forget(self) -> None:
        async for names in each_key(self._redis, self._change.account):
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    kind = kind_of(name)
                    if kind in self._forgotten:
                        pipe.unlink(self._key(name))
                    elif kind is KeyKind.ORDER:
                        await self._keep_posted(name)
                    elif kind is KeyKind.USER:
                        pipe.hdel(self._key(name), *FORGOTTEN_FIELDS)
                    elif kind is KeyKind.GATES:
                        await self._open(name)
                await pipe.execute()
            self._on_done(len(names))

    async def _keep_posted(self, name: bytes) -> None:
        """Of an order's baskets those that were posted. What was about to be is free again."""
        baskets: Any = await self._redis.hgetall(self._key(name))
        others = [basket for basket, fate in baskets.items() if fate != _POSTED]
        if others:
            await self._redis.hdel(self._key(name), *others)

    async def _open(self, name: bytes) -> None:
        reasons: Any = await self._redis.hkeys(self._key(name))
        closed = [reason for reason in reasons if reason != _BY_A_PERSON]
        if closed:
            await self._redis.hdel(self._key(name), *closed)

    def _key(self, name: bytes) -> Any:
        return self._change.prefix.encode() + name


def adopted_header(header: Header, target: Target) -> Header:
    """A letter's header once it is `target`'s: without the intent of a call to another. No I/O.

    A header that does not say where it died goes with its account.
    """
    return replace(header, pending_intent="", target=target.name if header.target else "")
