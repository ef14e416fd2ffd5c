"""Which entries of a batch are duplicates, before split.lua decides it. No I/O.

A duplicate must not tell the events behind it who is who: an SDK's retry says what was so when it
was first sent. Redis says what it knows of the batch, and what the batch does to that is noted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.identity.placement import links_ids
from pipeline.settings import AccountSettings
from pipeline.splitter.triage import Read, dedupe_key

DedupeKey = Mapping[str, Any]
"""What split.lua tells a duplicate by: see `dedupe_key`. Every action is one."""


def doubtful(items: Sequence[Read], accounts: Mapping[str, AccountSettings]) -> list[DedupeKey]:
    """The dedupe keys to ask Redis about: of those that would link ids for the events behind them.

    Not the last: no event is behind it, and split.lua drops what a duplicate would write. In a
    quiet shop it is the only one.
    """
    dedupe_keys = [
        dedupe_key(item, account.dedupe_window)
        for item in items[:-1]
        if (account := accounts.get(item.entry.account))
        and item.event is not None
        and links_ids(item.event, account)
    ]
    return [key for key in dedupe_keys if key["window"] or key["replay"]]


class Duplicates:
    """What is a duplicate by now, as the batch goes on."""

    def __init__(self, known: Iterable[DedupeKey]) -> None:
        """`known`: those that Redis calls duplicates."""
        self._known = {_identity(key) for key in known}

    def has(self, key: DedupeKey) -> bool:
        """Whether this one is a duplicate."""
        return _identity(key) in self._known

    def record(self, action: DedupeKey) -> None:
        """This action comes next. One that dies leaves a letter, whose exported copy may come (again)."""
        if self.has(action):
            return
        if action["window"] or action["replay"]:
            self._known.add(_identity(action))
        if action["kind"] == "dead":
            self._known.discard(_identity({**action, "replay": True}))


def _identity(key: DedupeKey) -> tuple[str, str, str]:
    """The id counts only for a replay: it names a letter."""
    return key["p"], key["id"] if key["replay"] else "", key["hash"]
