"""Moves raw entries to mailboxes. One splitter works at a time, under a lease; the others stand by."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis.asyncio
import redis.exceptions

from pipeline.clock import Clock
from pipeline.observe.logs import log_event
from pipeline.settings import DEFAULT_ACCOUNT, Settings
from pipeline.splitter.duplicates import Duplicates
from pipeline.splitter.lease import LEASE_MS, POISON_AFTER, SINGLY_AFTER, LeaseLost, SplitterLease
from pipeline.splitter.lookups import Lookups
from pipeline.splitter.triage import (
    Account,
    RawEntry,
    Read,
    RoutedEntry,
    crashed,
    dedupe_key,
    poisoned,
    read,
    read_entry,
    route_entry,
    unknown_account,
)
from pipeline.storage import keys
from pipeline.storage.redis_watch import RedisWatch
from pipeline.storage.scripts import Scripts, is_own_fault

BATCH = 200
BLOCK_MS = 1_000
STAND_BY_S = 1.0
RELEASE_WITHIN_S = 1.0


class Splitter:
    """Moves raw entries to mailboxes, oldest first, for all accounts.

    Two splitters would reorder a user's events, so only the splitter that holds the lease works. Each
    batch's script checks the lease: a splitter that was frozen past its lease can do no harm.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        token: str,
        wake: Callable[[], None],
        clock: Clock,
        *,
        time_ms: Callable[[], int] | None = None,
    ) -> None:
        """`wake` is called when there is something new to deliver; `time_ms` replaces Redis' clock in
        tests."""
        self._redis = client
        self._settings = settings
        self._wake = wake
        self._scripts = Scripts(client, "pipeline.splitter")
        self._lookups = Lookups(client, self._scripts, settings)
        self._lease = SplitterLease(self._scripts, token)
        self._singly = 0
        self._watch = RedisWatch("splitter", clock)
        self._time = time_ms

    async def run(self) -> None:
        """Split until cancelled, then give the lease up. Redis going away is waited out.

        Whatever else ends it leaves the lease to expire: that is a strike, as a killed process is.
        """
        try:
            while True:
                await self._turn()
        except asyncio.CancelledError:
            # A Redis that hangs is not waited for: the lease runs out by itself.
            with contextlib.suppress(redis.exceptions.RedisError, TimeoutError):
                async with asyncio.timeout(RELEASE_WITHIN_S):
                    await self.release()
            raise

    async def release(self) -> None:
        """Give the lease up, so that another need not wait for it to expire."""
        await self._lease.release()

    async def hold_lease(self) -> bool:
        """Take or keep the lease. False while another splitter has it."""
        if not await self._lease.hold():
            return False
        if self._lease.strikes >= SINGLY_AFTER:
            self._singly = BATCH  # the culprit may be any of the batch: it is to die alone
        return True

    async def step(self, *, block_ms: int | None = None) -> int:
        """Split one batch; returns how many entries it had. Waits `block_ms` for the first.

        Raises:
            LeaseLost: another splitter has the lease.
            redis.exceptions.RedisError: Redis is away or refuses to write.
        """
        if self._lease.strikes >= POISON_AFTER:
            return await self._bury_oldest()
        entries = await self._oldest(1 if self._singly else BATCH, block_ms)
        if not entries:
            return 0
        try:
            done = await self._split_all(entries)
        except (LeaseLost, redis.exceptions.ConnectionError):
            # A batch too slow for one lease or too big for one request ends so each time it is read whole.
            self._singly = max(self._singly, len(entries))
            raise
        self._singly = max(0, self._singly - 1)
        if any(one.is_posted for one in done):
            self._wake()
        return len(entries)

    async def _turn(self) -> None:
        try:
            if await self.hold_lease():
                await self.step(block_ms=BLOCK_MS)
            else:
                await asyncio.sleep(STAND_BY_S)
            self._watch.back()
        except LeaseLost:
            self._watch.back()
            log_event("lease_lost", logging.WARNING, component="splitter")
            await asyncio.sleep(STAND_BY_S)
        except redis.exceptions.RedisError as error:
            if isinstance(error, redis.exceptions.TimeoutError):
                self._singly = BATCH  # a batch of very large entries may be all that takes so long
            self._watch.away(error)
            await asyncio.sleep(STAND_BY_S)

    async def _bury_oldest(self) -> int:
        """Bury the entry that has the strikes, unread: reading it may be what kills."""
        strikes, self._lease.strikes = self._lease.strikes, 0
        entries = await self._oldest(1)
        for entry in entries:
            account = self._owning_account(entry)
            await self._write([poisoned(entry, strikes, account)])
            log_event("split_poison", logging.ERROR, account=account, entry=entry.sid)
        return len(entries)

    def _owning_account(self, entry: RawEntry) -> str:
        """The account that keeps what is left of an entry that was never routed."""
        return entry.account if entry.account in self._settings.accounts else DEFAULT_ACCOUNT

    async def _oldest(self, count: int, block_ms: int | None = None) -> list[RawEntry]:
        reply = await self._redis.xread({keys.RAW: "0-0"}, count=count, block=block_ms)
        return [read_entry(sid, fields) for sid, fields in _entries(reply)]

    async def _split_all(self, entries: list[RawEntry]) -> list[RoutedEntry]:
        """Split them together; if that fails for what they hold, one by one."""
        try:
            return await self._split(entries)
        except Exception as error:  # noqa: BLE001 - one bad entry must not stop the stream
            _raise_unless_own_fault(error)
            # No traceback: it could show parts of an event.
            name = type(error).__name__
            log_event("split_batch_failed", logging.WARNING, entries=len(entries), error=name)
            return [one for _ in entries for one in await self._split_oldest()]

    async def _split(self, entries: list[RawEntry]) -> list[RoutedEntry]:
        items = [read(entry) for entry in entries]
        accounts = await self._lookups.accounts(items)
        duplicates = await self._lookups.duplicates(items, self._now())
        batch = [_route(item, accounts, duplicates) for item in items]
        await self._write(batch)
        return batch

    async def _split_oldest(self) -> list[RoutedEntry]:
        """Split one entry alone; if that fails it dies.

        It is read anew: a script that failed midway has dealt with what came before its culprit.
        """
        entries = await self._oldest(1)
        try:
            return await self._split(entries)
        except Exception as error:  # noqa: BLE001 - recorded as a dead letter
            _raise_unless_own_fault(error)
            one = crashed(entries[0], error, self._owning_account(entries[0]))
            await self._write([one])
            return [one]

    async def _write(self, batch: Sequence[RoutedEntry]) -> None:
        args: list[Any] = [self._now(), self._lease.token, LEASE_MS]
        for one in batch:
            args += [one.sid, json.dumps(one.action), one.blob]
        answer = await self._scripts.run("split", [keys.RAW, keys.SPLITTER], args)
        if answer == b"lost":
            raise LeaseLost

    def _now(self) -> str:
        return "" if self._time is None else str(self._time())


def _raise_unless_own_fault(error: Exception) -> None:
    """Raise again what no entry is to blame for: Redis is away or full, or another splitter has the lease.

    It passes, and no event may die of it.
    """
    if isinstance(error, LeaseLost):
        raise error
    if isinstance(error, redis.exceptions.RedisError) and not is_own_fault(error):
        raise error


def _route(item: Read, accounts: Mapping[str, Account], duplicates: Duplicates) -> RoutedEntry:
    account = accounts.get(item.entry.account)
    if account is None:
        one = unknown_account(item)
    elif duplicates.has(dedupe_key(item, account.settings.dedupe_window)):
        # A duplicate must not update the identity map, so it is routed against a copy. Its action is
        # still complete: split.lua re-checks the dedupe window, which may have expired meanwhile.
        one = route_entry(item, account.apart())
    else:
        one = route_entry(item, account)
    duplicates.record(one.action)
    return one


def _entries(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """XREAD's reply in either protocol: RESP2 a list of pairs, RESP3 a map."""
    if not reply:
        return []
    streams = list(reply.values()) if isinstance(reply, dict) else [pair[1] for pair in reply]
    batches = streams[0]
    if batches and isinstance(batches[0], list):
        batches = batches[0]
    return [(sid, fields) for sid, fields in batches if fields is not None]
