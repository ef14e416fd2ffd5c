"""The splitter at work: one at a time, held by a lease; the others stand by."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import redis.asyncio
import redis.exceptions

from pipeline import keys
from pipeline.clock import Clock
from pipeline.events import Lane
from pipeline.identity import Directory, Seen, ids_of
from pipeline.mailbox.scripts import Scripts
from pipeline.observe.logs import log_event
from pipeline.observe.redis_watch import RedisWatch
from pipeline.settings import Settings
from pipeline.splitter.sort import (
    Account,
    Read,
    Sorted,
    crashed,
    read,
    read_entry,
    sort,
    unknown_account,
)

BATCH = 200
LEASE_MS = 5_000
BLOCK_MS = 1_000
STAND_BY_S = 1.0

Wake = Callable[[str, Lane], Awaitable[None]]


class Splitter:
    """Moves raw entries to mailboxes, oldest first, for all accounts.

    Two splitters would reorder a user, so whoever holds the lease works, and each batch's script
    checks it: a splitter that was frozen past its lease can do no harm.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        token: str,
        wake: Wake,
        clock: Clock,
        *,
        time_ms: Callable[[], int] | None = None,
    ) -> None:
        """`time_ms` replaces Redis' clock in tests."""
        self._redis = client
        self._settings = settings
        self._token = token
        self._wake = wake
        self._scripts = Scripts(client)
        self._watch = RedisWatch("splitter", clock)
        self._time = time_ms

    async def run(self) -> None:
        """Split until cancelled. Redis going away is waited out."""
        while True:
            try:
                if await self._hold_lease():
                    await self.step(block_ms=BLOCK_MS)
                else:
                    await asyncio.sleep(STAND_BY_S)
                self._watch.back()
            except redis.exceptions.RedisError as error:
                self._watch.away(error)
                await asyncio.sleep(STAND_BY_S)

    async def release(self) -> None:
        """Give the lease up, so that another need not wait for it to expire."""
        if await self._redis.get(keys.SPLITTER) == self._token.encode():
            await self._redis.delete(keys.SPLITTER)

    async def step(self, *, block_ms: int | None = None) -> int:
        """Split one batch; returns how many entries it had. Waits `block_ms` for the first."""
        reply = await self._redis.xread({keys.RAW: "0-0"}, count=BATCH, block=block_ms)
        entries = _entries(reply)
        if not entries:
            return 0
        items = [read(read_entry(sid, fields)) for sid, fields in entries]
        done = await self._split(items)
        for account, lane in dict.fromkeys((one.account, one.lane) for one in done):
            if lane is not None:
                await self._wake(account, lane)
        return len(entries)

    async def _hold_lease(self) -> bool:
        if await self._redis.set(keys.SPLITTER, self._token, nx=True, px=LEASE_MS):
            return True
        if await self._redis.get(keys.SPLITTER) != self._token.encode():
            return False
        await self._redis.pexpire(keys.SPLITTER, LEASE_MS)
        return True

    async def _split(self, items: list[Read]) -> list[Sorted]:
        """One script for the batch; if that fails, one for each entry, and the culprit dies."""
        accounts = await self._accounts(items)
        try:
            batch = [_sort(item, accounts) for item in items]
            await self._write(batch)
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - one bad entry must not stop the stream
            # No traceback: it could show parts of an event.
            name = type(error).__name__
            log_event("split_batch_failed", logging.WARNING, entries=len(items), error=name)
            return [await self._split_one(item) for item in items]
        return batch

    async def _split_one(self, item: Read) -> Sorted:
        accounts = await self._accounts([item])
        try:
            one = _sort(item, accounts)
            await self._write([one])
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - recorded as a dead letter
            one = crashed(item, error)
            await self._write([one])
        return one

    async def _write(self, batch: Sequence[Sorted]) -> None:
        now = "" if self._time is None else str(self._time())
        args: list[Any] = [now, self._token, LEASE_MS]
        for one in batch:
            args += [one.sid, json.dumps(one.deed), one.blob]
        answer = await self._scripts.run("split", [keys.RAW, keys.SPLITTER], args)
        if answer == b"lost":
            msg = "the splitter's lease is another's"
            raise redis.exceptions.ConnectionError(msg)

    async def _accounts(self, items: Sequence[Read]) -> dict[str, Account]:
        """Read what is known about everybody in the batch, in one round trip an account."""
        found: dict[str, Account] = {}
        for name in dict.fromkeys(item.entry.account for item in items):
            settings = self._settings.accounts.get(name)
            if settings is not None:
                mine = [item for item in items if item.entry.account == name]
                known = await self._directory(name, mine)
                found[name] = Account(settings, known, await self._stopped(name))
        return found

    async def _directory(self, account: str, items: Sequence[Read]) -> Directory:
        events = [item.event for item in items if item.event is not None]
        ids = list(dict.fromkeys(name for event in events for name in ids_of(event)))
        emails = list(dict.fromkeys(e.lower() for event in events if (e := event.email)))
        prefix = keys.account_prefix(account)
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in ids:
                pipe.get(f"{prefix}anon:{name}")
                pipe.hget(keys.user(account, name), "seen")
            for email in emails:
                pipe.get(f"{prefix}email:{email}")
            reply = await pipe.execute()
        anon, seen, by_email = (
            reply[: 2 * len(ids) : 2],
            reply[1 : 2 * len(ids) : 2],
            reply[2 * len(ids) :],
        )
        return Directory(
            anon={name: user.decode() for name, user in zip(ids, anon, strict=True) if user},
            email={
                name: user.decode() for name, user in zip(emails, by_email, strict=True) if user
            },
            seen={name: _seen(text) for name, text in zip(ids, seen, strict=True) if text},
        )

    async def _stopped(self, account: str) -> Mapping[Lane, int]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for lane in Lane:
                pipe.hget(f"{keys.account_prefix(account)}lane:{lane}", "stopped")
            values = await pipe.execute()
        return {lane: int(value or 0) for lane, value in zip(Lane, values, strict=True)}


def _sort(item: Read, accounts: Mapping[str, Account]) -> Sorted:
    account = accounts.get(item.entry.account)
    return unknown_account(item) if account is None else sort(item, account)


def _seen(text: bytes) -> Seen:
    return {email: int(at) for email, at in json.loads(text).items()}


def _entries(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """XREAD's reply in either protocol: RESP2 a list of pairs, RESP3 a map."""
    if not reply:
        return []
    streams = list(reply.values()) if isinstance(reply, dict) else [pair[1] for pair in reply]
    batches = streams[0]
    if batches and isinstance(batches[0], list):
        batches = batches[0]
    return [(sid, fields) for sid, fields in batches if fields is not None]
