"""Reads from Redis what routing a batch needs: which ids are linked, and which entries are duplicates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import redis.asyncio
from pydantic_core import from_json, to_json

from pipeline.events.models import Lane
from pipeline.identity.placement import IdentityMap
from pipeline.settings import AccountSettings
from pipeline.splitter.entries import Configured, DedupeKey, Read
from pipeline.splitter.triage import Account
from pipeline.storage.buried import read_tombstones
from pipeline.storage.scripts import Scripts
from pipeline.tombstones import NO_TOMBSTONES, Tombstones

_LANES = tuple(Lane)


class Question(NamedTuple):
    """What known.lua is asked about the entries of one account in a batch.

    p: the prefix of the account's keys. ids, visitors, emails: the names that could name a mailbox or be
    linked, emails in lower case. doubtful: see `ask`.
    """

    p: str
    ids: tuple[str, ...]
    visitors: tuple[str, ...]
    emails: tuple[str, ...]
    doubtful: tuple[DedupeKey, ...]
    lanes: tuple[Lane, ...] = _LANES


class Known(NamedTuple):
    """What routing a batch needs: each configured account of it, and which entries are duplicates.

    fence: which tombstones each account had when it was asked about, by the prefix of its keys: what `RawStream.move`
    is given.
    """

    accounts: dict[str, Account]
    duplicates: Sequence[DedupeKey]
    fence: Mapping[str, str]


class Lookups:
    """Look-ups for all accounts that the settings name."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        accounts: Mapping[str, Configured],
        time_ms: Callable[[], int] | None = None,
    ) -> None:
        """`time_ms` replaces Redis' clock in tests."""
        self._redis = client
        self._scripts = Scripts(client, "pipeline.splitter")
        self._accounts = accounts
        self._buried: dict[str, Tombstones] = {}
        self._time = time_ms

    async def known(self, items: Sequence[Read]) -> Known:
        """Ask what is known of the batch, in one round trip, and in another one for an account whose tombstones have changed."""
        names = {item.entry.account for item in items} & self._accounts.keys()
        if not names:
            return Known({}, (), {})
        questions = {name: ask(name, self._accounts[name].p, items) for name in names}
        now = "" if self._time is None else str(self._time())
        answers = await self._scripts.run("known", [], [now, *map(to_json, questions.values())])
        accounts: dict[str, Account] = {}
        fence: dict[str, str] = {}
        duplicates: list[DedupeKey] = []
        for (name, asked), answer in zip(questions.items(), answers, strict=True):
            found = from_json(answer)
            fence[asked.p] = found["gen"]
            buried = self._buried.get(name, NO_TOMBSTONES)
            if buried.generation != found["gen"]:
                buried = self._buried[name] = await read_tombstones(self._redis, name)
            accounts[name] = _account(self._accounts[name].settings, found, buried)
            verdicts = zip(asked.doubtful, found["duplicates"], strict=True)
            duplicates += [key for key, verdict in verdicts if verdict == "1"]
        return Known(accounts, duplicates, fence)


def ask(account: str, p: str, items: Sequence[Read]) -> Question:
    """The question about an account's entries in the batch `items`. p: what the account's keys begin with.

    Doubtful are those that would link ids for the events behind them. Not the last of the batch: no event is behind
    it, and split.lua drops what a duplicate would write. In a quiet shop it is the only one.
    """
    ids, visitors, emails = set[str](), set[str](), set[str]()
    doubtful: list[DedupeKey] = []
    last = items[-1]
    for item in items:
        facts = item.facts
        if facts is None or item.entry.account != account:
            continue
        ids.update(facts.ids)
        visitors.update(facts.visitors)
        shown, owned, address, _ = facts.emails
        if address or owned:
            emails.update(email.lower() for email in (shown, owned, address) if email)
        links_ids = len(facts.ids) > 1 or (facts.ids and (shown or owned))
        if links_ids and (item.key.window or item.key.replay) and item is not last:
            doubtful.append(item.key)
    names = tuple(ids), tuple(visitors), tuple(emails)
    return Question(p, *names, tuple(doubtful))


def _account(settings: AccountSettings, found: Mapping[str, Any], buried: Tombstones) -> Account:
    # An empty table of Lua's may come as an empty list.
    tables = {name: dict(found[name]) for name in ("anon", "email", "follows", "visitor")}
    seen = {name: from_json(text) for name, text in dict(found["seen"]).items()}
    stopped = {lane: int(ms) for lane, ms in found["stopped"].items()}
    showed = {name: email.lower() for name, email in dict(found["showed"]).items()}
    known = IdentityMap(**tables, seen=seen, showed=showed)
    return Account(settings, known, stopped, buried)
