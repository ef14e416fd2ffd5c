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
_MEMORY = ("email", "email_by", "merged", "last_identify", "refused")


class SharedId(SailpipeError):
    """An id that many people share names no person to erase."""

    def __str__(self) -> str:
        return "This id is in SHARED_IDS: it stands for many people. Give a userId or an email of the one you mean."


@dataclass(slots=True)
class Linked:
    """ids: of the person, the one that names their mailboxes first. left_out: ids that are linked, but belong to another
    user by now -> that user. unproven: ids that are linked by what any visitor of a page could have said."""

    ids: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    unproven: dict[str, None] = field(default_factory=dict)

    def has(self, identity: str | None) -> bool:
        return identity is not None and person_key(identity) in map(person_key, self.ids)

    def without_ids(self) -> Linked:
        """The same, where what was found to be the person's after all is left out no more."""
        left_out = {one: owner for one, owner in self.left_out.items() if not self.has(one)}
        rest = (one for one in self.unproven if not self.has(one) and one not in left_out)
        return Linked(self.ids, left_out, dict.fromkeys(rest))


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
    """Finds all ids of a person. Nothing is added that belongs to another user by now, nor what only a visitor said.

    Every visitor can read a page's key, and say with it that any anonymousId, and any email, is any user's.
    So an email is added where a server showed it; and from an anonymousId nothing leads on to a user, as that user's
    other data would go with it. The other way an anonymousId goes with its user, unless it shows a life of its own.
    """

    def __init__(self, client: redis.asyncio.Redis, settings: AccountSettings) -> None:
        self._redis = client
        self._settings = settings
        self._store = MailboxStore(client, settings.name)
        self._linked = Linked()
        self._visitors: dict[str, set[str]] = {}
        """anonymousIds that lead to the person -> what leads to them."""

    async def resolve(self, identity: str, also: Sequence[str]) -> Linked:
        """All that an id leads to, and what leads there. also: further ids that are the person's.

        Raises SharedId.
        """
        if any(one.casefold() in self._settings.shared_ids for one in (identity, *also)):
            raise SharedId
        for one in (identity, *also):
            self._add(await self._holder(one) or one if "@" in one else one)
            self._add(one)
        await self._add_unfinished()
        before = (0, 0)
        while (size := (len(self._linked.ids), len(self._visitors))) != before:
            before, known = size, [*self._visitors]
            await self._add_remembered()
            await self._add_linked()
            for one in known:
                if not self._linked.has(one):
                    await self._add_visitor(one)
        return self._linked.without_ids()

    def person(self, linked: Linked) -> Person:
        """As the passes take it."""
        return Person(tuple(linked.ids), self._settings.shared_ids)

    def _add(self, identity: str) -> None:
        is_shared = identity.casefold() in self._settings.shared_ids
        if identity and not is_shared and not self._linked.has(identity):
            self._linked.ids.append(identity)

    async def _holder(self, identity: str) -> str | None:
        """Whose an email is, by what a server said; where an anonymousId leads, by events of any role."""
        if "@" in identity:
            return await self._store.owner(identity.lower(), besides="")
        return await self._store.leads_to(identity)

    async def _add_unfinished(self) -> None:
        """What a run that was interrupted has found, as it may have removed the links already; and what is another's by
        now is not the person's any more."""
        found: Any = await self._redis.hgetall(keys.forgetting(self._settings.name))
        for text in found.values():
            ids = json.loads(text)
            if isinstance(ids, dict):  # they are erased, and stand there as hashes
                continue
            holders = {one: await self._holder(one) for one in ids}
            kept = [one for one in ids if holders[one] is None or holders[one] in ids]
            if any(map(self._linked.has, kept)):
                for one in kept:
                    self._add(one)
                for one in ids:
                    self._add_unless_others(one, holders[one])

    async def _add_remembered(self) -> None:
        for identity in [*self._linked.ids]:
            key = keys.user(self._settings.name, identity)
            fields: Any = await self._redis.hmget(key, *_MEMORY)
            email, by, merged, last, refused = (one.decode() if one else "" for one in fields)
            if email:
                await self._add_email(email, is_said_by_server=not by)
            for one in filter(None, [*json.loads(refused or "{}"), *json.loads(last or "[]")[:1]]):
                await self._add_email(one, is_said_by_server=False)
            for one in json.loads(merged or "[]"):
                self._note_visitor(one, await self._store.leads_to(one))

    async def _add_email(self, email: str, *, is_said_by_server: bool) -> None:
        owner = await self._store.owner(email.lower(), besides="")
        if owner is None and not is_said_by_server:
            self._linked.unproven[person_key(email)] = None
        else:
            self._add_unless_others(email, owner)

    async def _add_linked(self) -> None:
        async for _, table in each_bucket(self._redis, self._settings.name):
            for alias, target in table.items():
                kind, _, name = alias.partition(":")
                if target in self._visitors and name != target:
                    self._visitors[target].add(name)
                has_name, has_target = self._linked.has(name), self._linked.has(target)
                if has_name == has_target:
                    continue
                if kind == "email" and has_target:
                    self._add(name)
                elif kind == "visitor":
                    other = target if has_name else name
                    self._add_unless_others(other, await self._holder(other))
                elif kind in {"anon", "follows"}:
                    leads_to = table.get(f"follows:{name}", target)
                    if has_target:
                        self._note_visitor(name, leads_to)
                    elif leads_to == target:
                        self._linked.unproven[person_key(target)] = None

    def _note_visitor(self, name: str, leads_to: str | None) -> None:
        if leads_to is None or leads_to == name or self._linked.has(leads_to):
            self._visitors.setdefault(name, set())
        else:
            self._add_unless_others(name, leads_to)

    async def _add_visitor(self, name: str) -> None:
        """Add it, unless it is a user's email, a user's id, or has an email that is not the person's."""
        if "@" in name:
            await self._add_email(name, is_said_by_server=False)
            return
        fields: Any = await self._redis.hmget(
            keys.user(self._settings.name, name), "email", "email_by"
        )
        email, by = (one.decode() if one else "" for one in fields)
        own = self._visitors[name] | ({email} if email and not by else set())
        if all(map(self._linked.has, own)):
            self._add(name)
        else:
            self._linked.unproven[person_key(name)] = None

    def _add_unless_others(self, identity: str, owner: str | None) -> None:
        if owner is None or owner == identity or self._linked.has(owner):
            self._add(identity)
        elif not self._linked.has(identity):
            self._linked.left_out[identity] = owner
