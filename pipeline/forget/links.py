"""Who else a person is: ids and emails that lead to one another, and their removal."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio

from pipeline.errors import SailpipeError
from pipeline.forget.person import Person
from pipeline.forget.spaces import Space
from pipeline.forget.work import Work
from pipeline.mailbox.store import MailboxStore
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from pipeline.tombstones import person_key

BUCKETS = 50
"""Hashes of aliases that are read in one round trip."""
_MEMORY = ("email", "merged", "last_identify", "refused")


class SharedId(SailpipeError):
    """An id that stands for many people is nobody to erase."""

    def __str__(self) -> str:
        return "This id is in SHARED_IDS: it stands for many people. Give a userId or an email of the one you mean."


@dataclass(slots=True)
class Linked:
    """ids: of the person, the one that names their mailboxes first. left_out: ids that are linked, but belong to another
    user by now -> that user."""

    ids: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def has(self, identity: str | None) -> bool:
        return identity is not None and person_key(identity) in map(person_key, self.ids)


async def each_bucket(
    client: redis.asyncio.Redis, account: str
) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """The hashes of aliases, each with its key: `KIND:NAME` -> the id it leads to."""
    count: Any = await client.hget(keys.alias_table(account), "buckets")
    total = int(count or 1)
    for start in range(0, total, BUCKETS):
        names = [
            keys.aliases(account, str(number))
            for number in range(start, min(total, start + BUCKETS))
        ]
        async with client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(name)
            found: list[dict[bytes, bytes]] = await pipe.execute()
        for name, table in zip(names, found, strict=True):
            yield (
                name,
                {key.decode(): value.decode().partition(" ")[2] for key, value in table.items()},
            )


async def sweep_links(work: Work) -> None:
    """Forget all names that are the person's, or lead to them."""
    async for bucket, table in each_bucket(work.redis, work.account):
        theirs = [
            name
            for name, target in table.items()
            if work.person.is_named(target) or work.person.is_named(name.partition(":")[2])
        ]
        work.see(Space.LINKS, len(table), theirs=len(theirs))
        if theirs and work.removes:
            await work.run("unlink", theirs, bucket)


class Resolver:
    """Finds all ids of a person. Nothing is added that belongs to another user by now."""

    def __init__(self, client: redis.asyncio.Redis, settings: AccountSettings) -> None:
        self._redis = client
        self._settings = settings
        self._store = MailboxStore(client, settings.name)
        self._linked = Linked()

    async def resolve(self, identity: str, also: Sequence[str]) -> Linked:
        """All that an id leads to, and what leads there. also: further ids that are the person's.

        Raises SharedId.
        """
        if any(one.casefold() in self._settings.shared_ids for one in (identity, *also)):
            raise SharedId
        for one in (identity, *also):
            self._add(await self._root(one))
            self._add(one)
        await self._add_unfinished()
        before = 0
        while len(self._linked.ids) > before:
            before = len(self._linked.ids)
            await self._add_remembered()
            await self._add_linked()
        left_out = {
            one: owner for one, owner in self._linked.left_out.items() if not self._linked.has(one)
        }
        return Linked(self._linked.ids, left_out)

    def person(self, linked: Linked) -> Person:
        """As the passes take it."""
        return Person(tuple(linked.ids), self._settings.shared_ids)

    def _add(self, identity: str) -> None:
        is_shared = identity.casefold() in self._settings.shared_ids
        if identity and not is_shared and not self._linked.has(identity):
            self._linked.ids.append(identity)

    async def _root(self, identity: str) -> str:
        if "@" in identity:
            owner = await self._store.owner(identity.lower(), besides="")
            return await self._store.leads_to(owner) or owner if owner else identity
        return await self._store.leads_to(identity) or identity

    async def _add_unfinished(self) -> None:
        """What a run that was interrupted has found: it may have removed the links already."""
        found: Any = await self._redis.hgetall(keys.forgetting(self._settings.name))
        for text in found.values():
            ids = json.loads(text)
            if any(map(self._linked.has, ids)):
                for one in ids:
                    self._add(one)

    async def _add_remembered(self) -> None:
        for identity in [*self._linked.ids]:
            key = keys.user(self._settings.name, identity)
            fields: Any = await self._redis.hmget(key, *_MEMORY)
            email, merged, last, refused = (one.decode() if one else "" for one in fields)
            emails = [email, *json.loads(refused or "{}"), *json.loads(last or "[]")[:1]]
            for one in filter(None, emails):
                await self._add_unless_others(one, await self._store.owner(one.lower(), besides=""))
            for one in json.loads(merged or "[]"):
                await self._add_unless_others(one, await self._store.leads_to(one))

    async def _add_linked(self) -> None:
        async for _, table in each_bucket(self._redis, self._settings.name):
            for alias, target in table.items():
                kind, _, name = alias.partition(":")
                has_name, has_target = self._linked.has(name), self._linked.has(target)
                if has_name == has_target:
                    continue
                if kind == "visitor":
                    look = self._store.leads_to(target) if has_name else self._email_owner(name)
                    await self._add_unless_others(target if has_name else name, await look)
                elif has_target:
                    await self._add_unless_others(name, table.get(f"follows:{name}", target))

    async def _email_owner(self, email: str) -> str | None:
        return await self._store.owner(email, besides="")

    async def _add_unless_others(self, identity: str, owner: str | None) -> None:
        if owner is None or owner == identity or self._linked.has(owner):
            self._add(identity)
        elif not self._linked.has(identity):
            self._linked.left_out[identity] = owner
