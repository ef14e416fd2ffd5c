"""Which entries of a batch are duplicates, before split.lua decides it. Pure.

A duplicate must not teach the events behind it who is who: an SDK's retry says what was so when it
was first sent. Redis says what it knows of the batch, and what the batch does to that is noted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.identity import teaches
from pipeline.settings import AccountSettings
from pipeline.splitter.sort import Read, dedupe_mark

Mark = Mapping[str, Any]
"""What split.lua tells a duplicate by: see `dedupe_mark`. Every deed is one."""


def doubtful(items: Sequence[Read], accounts: Mapping[str, AccountSettings]) -> list[Mark]:
    """The marks to ask Redis about: of those that would teach something to another.

    Not the last: nobody is behind it, and split.lua drops what a duplicate would teach Redis. In a
    quiet shop it is the only one.
    """
    marks = [
        dedupe_mark(item, account.dedupe_window)
        for item in items[:-1]
        if (account := accounts.get(item.entry.account))
        and item.event is not None
        and teaches(item.event, account)
    ]
    return [mark for mark in marks if mark["window"] or mark["replay"]]


class Repeats:
    """What is a duplicate by now, as the batch goes on."""

    def __init__(self, known: Iterable[Mark]) -> None:
        """`known`: those that Redis calls duplicates."""
        self._known = {_key(mark) for mark in known}

    def has(self, mark: Mark) -> bool:
        """Whether this one is a duplicate."""
        return _key(mark) in self._known

    def note(self, deed: Mark) -> None:
        """This deed comes next. One that dies leaves a letter, whose exported copy may come (again)."""
        if self.has(deed):
            return
        if deed["window"] or deed["replay"]:
            self._known.add(_key(deed))
        if deed["kind"] == "dead":
            self._known.discard(_key({**deed, "replay": True}))


def _key(mark: Mark) -> tuple[str, str, str]:
    """The id counts only for a replay: it names a letter."""
    return mark["p"], mark["id"] if mark["replay"] else "", mark["hash"]
