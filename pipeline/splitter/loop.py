"""Moves raw entries to mailboxes. One splitter works at a time, under a lease; the others stand by."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import redis.asyncio
import redis.exceptions

from pipeline.clock import Clock
from pipeline.observe.logs import log_event
from pipeline.observe.minutely import Minutely, as_text
from pipeline.settings import DEFAULT_ACCOUNT, Settings
from pipeline.splitter.entries import ActionKind, Configured, RawEntry, Read, RoutedEntry
from pipeline.splitter.held import HeldEntries
from pipeline.splitter.lease import LeaseLost
from pipeline.splitter.lookups import Lookups
from pipeline.splitter.pressure import LOOK_S, Pressure
from pipeline.splitter.stream import BATCH, PersonForgotten, RawFields, RawStream
from pipeline.splitter.traces import SplitBatch, split_records
from pipeline.splitter.triage import crashed, poisoned, read, read_entry, route_batch
from pipeline.storage.keys import account_prefix
from pipeline.storage.numbers import POISON_AFTER
from pipeline.storage.redis_watch import RedisWatch
from pipeline.storage.scripts import is_own_fault
from pipeline.trace.queue import LAST_FLUSH_S, TraceQueue

BLOCK_MS = 1_000
LINGER_S = 0.02
"""Least pause after a batch that was not full: see `linger`."""
MAX_LINGER_S = 0.08
LINGER_ENTRY_S = 0.004
MAX_BATCHES = 200
"""Batches that wait to be told of in the log of outcomes: more than are split between two of its writes."""
STAND_BY_S = 1.0
RELEASE_WITHIN_S = 1.0


def linger(entries: int) -> float:
    """Seconds to pause after a batch of so many entries that was not full.

    What comes meanwhile shares the trips of one batch; what comes to a quiet splitter is split at once. Up to
    1 / LINGER_ENTRY_S events a second batches stay as small as the least pause makes them. When more come each is
    larger than the one before, up to the longest pause: so fast, events wait longer for Sailthru's limits.
    """
    return max(LINGER_S, min(MAX_LINGER_S, entries * LINGER_ENTRY_S))


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
        wake: Callable[[Collection[str]], None],
        clock: Clock,
        *,
        time_ms: Callable[[], int] | None = None,
        stream: RawStream | None = None,
    ) -> None:
        """`wake` is called with the due sets that got something new to deliver. For tests: `time_ms` replaces
        Redis' clock, `stream` the raw stream."""
        self._accounts = {
            name: Configured(account, account_prefix(name))
            for name, account in settings.accounts.items()
        }
        self._wake = wake
        self._stream = stream or RawStream(client, token, time_ms)
        self._lookups = Lookups(client, self._accounts, time_ms)
        self._held = HeldEntries(client, self._accounts, clock, time_ms)
        self._pressure = Pressure(client, settings, self._stream.lease.token, clock)
        self._watch = RedisWatch("splitter", clock)
        self.traces = TraceQueue(client, settings.accounts, split_records, clock, MAX_BATCHES)
        self._died = Minutely(_say_died)
        self._nudged = asyncio.Event()
        self.released = False

    async def run(self) -> None:
        """Split until cancelled, then give the lease up. Redis going away is waited out.

        Whatever else ends it leaves the lease to expire: that is a strike, as a killed process is.
        """
        tracing = asyncio.create_task(self.traces.run())
        try:
            while True:
                await self.turn()
        except asyncio.CancelledError:
            tracing.cancel()
            # A Redis that hangs is not waited for: the lease runs out by itself.
            with contextlib.suppress(redis.exceptions.RedisError, TimeoutError):
                async with asyncio.timeout(RELEASE_WITHIN_S):
                    await self.release()
            await asyncio.wait([tracing], timeout=LAST_FLUSH_S)
            raise

    async def release(self) -> None:
        """Give the lease up, so that another need not wait for it to expire."""
        await self._stream.lease.release()
        self.released = True

    def nudge(self) -> None:
        """Ask for the lease now instead of after STAND_BY_S. To be called on the loop."""
        self._nudged.set()

    async def hold_lease(self) -> bool:
        """Take or keep the lease. False while another splitter has it."""
        return await self._stream.hold()

    async def step(self, *, block_ms: int | None = None) -> int:
        """Split one batch; returns how many entries it had. Waits `block_ms` for the first.

        Raises:
            LeaseLost: another splitter has the lease.
            redis.exceptions.RedisError: Redis is away or refuses to write.
        """
        if self._stream.lease.strikes >= POISON_AFTER:
            return await self._bury_oldest()
        entries = await self._stream.batch(block_ms)
        if not entries:
            return 0
        try:
            done = await self._split_all(entries)
        except PersonForgotten:
            return 0  # it is read again, and what was the person's is dropped
        except (LeaseLost, redis.exceptions.ConnectionError):
            # A batch too slow for one lease or too big for one request ends so each time it is read whole.
            self._stream.one_by_one(len(entries))
            raise
        for one in done:
            if one.action.kind is ActionKind.DEAD:
                self._died.add(one.action.key.p.split(":")[1])
        posted = (one.action for one in done if one.action.kind is ActionKind.POST)
        if due := {
            f"{action.key.p}due:{action.lane}" for action in posted
        }:  # as keys.due names them
            self._wake(due)
        return len(entries)

    async def turn(self) -> None:
        """Take or keep the lease and split what comes within a second, or pause. Redis' errors end in a pause."""
        try:
            pause = 0.0
            if not await self.hold_lease():
                await self._stand_by()
            elif await self._may_split():
                await self._held.give_back()
                entries = await self.step(block_ms=BLOCK_MS)
                self._pressure.moved(entries)
                pause = linger(entries) if entries < self._stream.batch_size else 0.0
            else:
                pause = LOOK_S
            self._watch.back()
            await asyncio.sleep(pause)
        except LeaseLost:
            self._watch.back()
            log_event("lease_lost", logging.WARNING, component="splitter")
            await asyncio.sleep(STAND_BY_S)
        except redis.exceptions.RedisError as error:
            if isinstance(error, redis.exceptions.TimeoutError):
                # A batch of very large entries may be all that takes so long.
                self._stream.one_by_one(BATCH)
            self._watch.away(error)
            await asyncio.sleep(STAND_BY_S)

    async def _may_split(self) -> bool:
        self._stream.allow(await self._pressure.left())
        return self._stream.batch_size > 0

    async def _stand_by(self) -> None:
        self._held.look_soon()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._nudged.wait(), STAND_BY_S)
        self._nudged.clear()

    async def _bury_oldest(self) -> int:
        """Bury the entry that has the strikes, unread: reading it may be what kills."""
        strikes, self._stream.lease.strikes = self._stream.lease.strikes, 0
        entries = await self._stream.oldest()
        for sid, fields in entries:
            entry = read_entry(sid, fields)
            account = self._owning_account(entry)
            await self._bury(entry, poisoned(entry, strikes, account))
            log_event("split_poison", logging.ERROR, account=account, entry=entry.sid)
        return len(entries)

    def _owning_account(self, entry: RawEntry) -> str:
        """The account that keeps what is left of an entry that was never routed."""
        return entry.account if entry.account in self._accounts else DEFAULT_ACCOUNT

    async def _split_all(self, entries: Sequence[RawFields]) -> list[RoutedEntry]:
        """Split them together; if that fails for what they hold, one by one."""
        try:
            return await self._split(entries)
        except Exception as error:  # noqa: BLE001 - one bad entry must not stop the stream
            _raise_unless_own_fault(error)
            # No traceback: it could show parts of an event.
            name = type(error).__name__
            log_event("split_batch_failed", logging.WARNING, entries=len(entries), error=name)
            return [one for _ in entries for one in await self._split_oldest()]

    async def _split(self, entries: Sequence[RawFields]) -> list[RoutedEntry]:
        items = [read(read_entry(sid, fields), self._accounts) for sid, fields in entries]
        known = await self._lookups.known(items)
        batch = route_batch(items, known.accounts, known.duplicates)
        moved = await self._stream.move(batch, known.fence)
        self.traces.pending.append(SplitBatch(items, batch, moved))
        pairs = zip(items, batch, strict=True)
        if unknown := {
            item.entry.account for item, one in pairs if one.action.kind is ActionKind.HELD
        }:
            self._held.say(unknown)
        return batch

    async def _split_oldest(self) -> list[RoutedEntry]:
        """Split one entry alone; if that fails it dies.

        It is read anew: a script that failed midway has dealt with what came before its culprit.
        """
        entries = await self._stream.oldest()
        try:
            return await self._split(entries)
        except Exception as error:  # noqa: BLE001 - recorded as a dead letter
            _raise_unless_own_fault(error)
            entry = read_entry(*entries[0])
            one = crashed(entry, error, self._owning_account(entry))
            await self._bury(entry, one)
            return [one]

    async def _bury(self, entry: RawEntry, one: RoutedEntry) -> None:
        moved = await self._stream.move([one])
        unread = Read(entry, one.action.key, None, None, None)
        self.traces.pending.append(SplitBatch([unread], [one], moved))


def _say_died(accounts: Counter[str]) -> None:
    fields = {"events": accounts.total(), "accounts": as_text(accounts)}
    log_event("split_died", logging.WARNING, **fields)


def _raise_unless_own_fault(error: Exception) -> None:
    """Raise again what no entry is to blame for: Redis is away or full, or another splitter has the lease.

    It passes, and no event may die of it.
    """
    if isinstance(error, LeaseLost | PersonForgotten):
        raise error
    if isinstance(error, redis.exceptions.RedisError) and not is_own_fault(error):
        raise error
