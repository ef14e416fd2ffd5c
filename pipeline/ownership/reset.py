"""Empties an account: what waits, dead letters, what is remembered, counters, gates, its target.

What was accepted before it began is gone at its end, in whichever place it was. Rate-limit slots and limits stay: the
calls of the last second were made all the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from pipeline.deadletters.store import CHUNK
from pipeline.events.models import Lane
from pipeline.ownership.change import Change
from pipeline.ownership.keyspace import Done, each_due, each_key, each_leased, each_member
from pipeline.ownership.wakeups import remove_wakeups
from pipeline.storage import keys
from pipeline.storage.keys import KeyKind, kind_of

RAW_ENTRIES = 500
"""Entries of the raw stream that are looked at in one script."""
CUT_REMEMBERED_MS = 60_000
"""For so long after its end the splitter still drops what was accepted before: far longer than its lease, and so than it
can have a batch in hand."""
KEPT = frozenset(
    {
        *(
            KeyKind.LIMITS,
            KeyKind.SLOTS,
            KeyKind.TOKEN,
            KeyKind.TARGET,
            KeyKind.COUNTS,
            KeyKind.CALLS,
            KeyKind.DEAD,
            KeyKind.RESET,
        ),
        *(KeyKind.MAIL, KeyKind.STATE, KeyKind.DUE, KeyKind.BULK, KeyKind.LEASED, KeyKind.LANE),
    }
)
"""What stays, or has a step of its own. Claims are numbered by `token`, which must not begin anew. Events that arrive
meanwhile, and the clock that their deadlines are reckoned by, stay whole."""


@dataclass(slots=True)
class Emptied:
    """What a reset has removed: events that waited, dead letters."""

    events: int = 0
    letters: int = 0


async def reset(
    client: redis.asyncio.Redis, account: str, others: Collection[str], on_done: Done
) -> Emptied:
    """Empty the account beside running workers; the next target that delivers has it.

    others: the other accounts that are configured. What names none of them is the default account's.

    Raises:
        redis.exceptions.RedisError: Redis went away. Nothing is delivered until `reset` has come to its end;
            it may be run again.
    """
    change = Change(client, account, "reset")
    await change.begin()
    work = _Reset(change, others, on_done)
    await work.cut_raw_stream()
    await work.empty_mailboxes()
    await work.drop_letters()
    await remove_wakeups(client, account)
    await work.forget()
    await change.scripts.run("recount", [change.prefix], [])
    await change.end(None)
    await client.pexpire(keys.reset_cut(account), CUT_REMEMBERED_MS)
    return work.emptied


class _Reset:
    def __init__(self, change: Change, others: Collection[str], on_done: Done) -> None:
        self.emptied = Emptied()
        self._others = others
        self._change = change
        self._redis = change.redis
        self._account = change.account
        self._on_done = on_done

    async def cut_raw_stream(self) -> None:
        """Also for the splitter, which may have a batch in hand: it drops what came up to here."""
        last = await self._change.scripts.run("cut", [self._change.prefix, keys.RAW], [])
        await self._cull(keys.HELD, b"+")
        if last:
            await self._cull(keys.RAW, last)

    async def _cull(self, stream: str, last: bytes) -> None:
        begin = b"-"
        while True:
            args = [self._account, begin, last, RAW_ENTRIES, *self._others]
            seen, gone = await self._change.scripts.run("cull", [stream], args)
            self._events(gone)
            if not seen:
                return
            begin = b"(" + seen

    async def empty_mailboxes(self) -> None:
        """The leased ones first: then no process writes any more of what the other steps remove."""
        for each in (each_leased, each_due):
            for lane in Lane:
                async for boxes in each(self._redis, self._account, lane):
                    prefix = [self._change.prefix]
                    self._events(await self._change.scripts.run("empty", prefix, [lane, *boxes]))

    async def drop_letters(self) -> None:
        async for ids in each_member(self._redis, keys.dead_by_time(self._account), CHUNK):
            gone = await self._change.scripts.run(
                "pipeline.deadletters/drop", [self._change.prefix], ids
            )
            self.emptied.letters += gone
            self._on_done(gone)

    async def forget(self) -> None:
        await self._redis.unlink(keys.dead_states(self._account), keys.dead_views(self._account))
        prefix = self._change.prefix.encode()
        async for names in each_key(self._redis, self._account):
            gone: list[Any] = [prefix + name for name in names if kind_of(name) not in KEPT]
            if gone:
                await self._redis.unlink(*gone)
                self._on_done(len(gone))

    def _events(self, gone: int) -> None:
        self.emptied.events += gone
        self._on_done(gone)
