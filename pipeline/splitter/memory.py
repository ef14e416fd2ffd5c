"""What Redis knows of the people in a batch before it is sorted. Reads only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import redis.asyncio

from pipeline import keys
from pipeline.events import Lane
from pipeline.identity import Directory, Seen, emails_of, ids_of
from pipeline.mailbox.scripts import Scripts
from pipeline.settings import Settings
from pipeline.splitter.repeats import Repeats, doubtful
from pipeline.splitter.sort import Account, Read


class Memory:
    """Of all accounts that the settings name."""

    def __init__(self, client: redis.asyncio.Redis, scripts: Scripts, settings: Settings) -> None:
        self._redis = client
        self._scripts = scripts
        self._settings = settings

    async def repeats(self, items: Sequence[Read], now: str) -> Repeats:
        """Ask which of the batch are duplicates: one round trip, none when it makes no difference."""
        marks = doubtful(items, self._settings.accounts)
        if not marks:
            return Repeats([])
        answer = await self._scripts.run("repeats", [], [now, *map(json.dumps, marks)])
        return Repeats(mark for mark, is_known in zip(marks, answer, strict=True) if is_known)

    async def accounts(self, items: Sequence[Read]) -> dict[str, Account]:
        """Read what is known about everybody in the batch: two round trips an account, rarely three."""
        found: dict[str, Account] = {}
        for name in dict.fromkeys(item.entry.account for item in items):
            settings = self._settings.accounts.get(name)
            if settings is not None:
                mine = [item for item in items if item.entry.account == name]
                known = await self._directory(name, mine)
                found[name] = Account(settings, known, await self._stopped(name))
        return found

    async def _directory(self, account: str, items: Sequence[Read]) -> Directory:
        settings = self._settings.accounts[account]
        events = [item.event for item in items if item.event is not None]
        ids = list(dict.fromkeys(name for event in events for name in ids_of(event)))
        shown = (email for event in events for email in emails_of(event, settings))
        emails = list(dict.fromkeys(shown))
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in ids:
                pipe.get(keys.learned(account, f"anon:{name}"))
                pipe.hget(keys.user(account, name), "seen")
            for email in emails:
                pipe.get(keys.learned(account, f"email:{email}"))
            reply = await pipe.execute()
        known = Directory(
            anon=_learned(ids, reply[: 2 * len(ids) : 2]),
            email=_learned(emails, reply[2 * len(ids) :]),
            seen=_seen(ids, reply[1 : 2 * len(ids) : 2]),
        )
        owners = {*known.anon.values(), *known.email.values()} - set(ids)
        known.seen |= await self._sightings(account, sorted(owners))
        return known

    async def _sightings(self, account: str, names: Sequence[str]) -> dict[str, Seen]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(keys.user(account, name), "seen")
            return _seen(names, await pipe.execute())

    async def _stopped(self, account: str) -> Mapping[Lane, int]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for lane in Lane:
                pipe.hget(keys.lane(account, lane), "stopped")
            values = await pipe.execute()
        return {lane: int(value or 0) for lane, value in zip(Lane, values, strict=True)}


def _learned(names: Sequence[str], users: Sequence[bytes | None]) -> dict[str, str]:
    return {name: user.decode() for name, user in zip(names, users, strict=True) if user}


def _seen(names: Sequence[str], texts: Sequence[bytes | None]) -> dict[str, Seen]:
    return {name: json.loads(text) for name, text in zip(names, texts, strict=True) if text}
