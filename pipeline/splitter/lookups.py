"""Reads from Redis what routing a batch needs: which ids are linked, and which entries are duplicates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import redis.asyncio

from pipeline.events.models import Lane
from pipeline.identity.placement import IdentityMap, Seen, emails_of, ids_of, visitors_of
from pipeline.settings import Settings
from pipeline.splitter.duplicates import Duplicates, doubtful
from pipeline.splitter.triage import Account, Read
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts


class Lookups:
    """Look-ups for all accounts that the settings name."""

    def __init__(self, client: redis.asyncio.Redis, scripts: Scripts, settings: Settings) -> None:
        self._redis = client
        self._scripts = scripts
        self._settings = settings

    async def duplicates(self, items: Sequence[Read], now: str) -> Duplicates:
        """Ask which of the batch are duplicates: one round trip, none when it makes no difference."""
        dedupe_keys = doubtful(items, self._settings.accounts)
        if not dedupe_keys:
            return Duplicates([])
        answer = await self._scripts.run("duplicates", [], [now, *map(json.dumps, dedupe_keys)])
        return Duplicates(
            key for key, is_known in zip(dedupe_keys, answer, strict=True) if is_known
        )

    async def accounts(self, items: Sequence[Read]) -> dict[str, Account]:
        """Read what is known about all users in the batch: two round trips an account, rarely three."""
        found: dict[str, Account] = {}
        for name in dict.fromkeys(item.entry.account for item in items):
            settings = self._settings.accounts.get(name)
            if settings is not None:
                mine = [item for item in items if item.entry.account == name]
                known = await self._identity_map(name, mine)
                found[name] = Account(settings, known, await self._stopped(name))
        return found

    async def _identity_map(self, account: str, items: Sequence[Read]) -> IdentityMap:
        settings = self._settings.accounts[account]
        events = [item.event for item in items if item.event is not None]
        ids = _unique(name for event in events for name in ids_of(event))
        visitors = _unique(name for event in events for name in visitors_of(event))
        emails = _unique(email for event in events for email in emails_of(event, settings))
        known = IdentityMap()
        names = {"anon": visitors, "follows": visitors, "email": emails, "visitor": emails}
        await self._read(account, names, ids, known)
        # Which of these are shared ids, and where the visitors lead, must be known as well.
        holders = _unique(known.visitor.values())
        led_to = (*known.anon.values(), *known.email.values(), *known.follows.values(), *holders)
        owners = sorted({*led_to} - {*ids})
        unread = [name for name in holders if name not in visitors]
        await self._read(account, {"anon": unread, "follows": unread}, owners, known)
        return known

    async def _read(
        self,
        account: str,
        names: Mapping[str, Sequence[str]],
        seen: Sequence[str],
        known: IdentityMap,
    ) -> None:
        """Add to `known` what these names lead to (kind -> names), and the sightings of `seen`."""
        each = [(kind, name) for kind, some in names.items() for name in some]
        if not each and not seen:
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            if each:
                pipe.mget([keys.learned(account, f"{kind}:{name}") for kind, name in each])
            for name in seen:
                pipe.hget(keys.user(account, name), "seen")
            reply = await pipe.execute()
        targets = reply.pop(0) if each else []
        for (kind, name), target in zip(each, targets, strict=True):
            if target:
                known.learned(kind)[name] = target.decode()
        known.seen |= _seen(seen, reply)

    async def _stopped(self, account: str) -> Mapping[Lane, int]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for lane in Lane:
                pipe.hget(keys.lane(account, lane), "stopped")
            values = await pipe.execute()
        return {lane: int(value or 0) for lane, value in zip(Lane, values, strict=True)}


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _seen(names: Sequence[str], texts: Sequence[bytes | None]) -> dict[str, Seen]:
    return {name: json.loads(text) for name, text in zip(names, texts, strict=True) if text}
