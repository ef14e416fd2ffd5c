"""Problems: dead letters of one cause, and where a person stands with them, for whichever face asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

from pipeline.deadletters.audit import Act
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.groups import Group
from pipeline.deadletters.states import GroupState, GroupStates, Mark
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import SailpipeError
from pipeline.storage import keys
from pipeline.words import Words, words_of

UNMARKED: Final = Mark()
MAX_HOURS: Final = 48
"""Hours whose letters are counted apart: each group takes a command for every one."""


class UnknownGroup(SailpipeError):
    """No dead letter has this fingerprint."""


@dataclass(frozen=True, slots=True)
class MarkedGroup:
    """A group, and what a person said of it."""

    group: Group
    mark: Mark

    @property
    def words(self) -> Words:
        return words_of(self.group.example.header.reason)

    def as_json(self) -> dict[str, Any]:
        """One line of `dead stats --json`."""
        words = self.words
        said = {"title": words.title, "to_do": words.do, "fault": words.fault.value}
        return self.group.as_json() | said | self.mark.as_json()


async def read_groups(
    client: redis.asyncio.Redis, account: str, wanted: Filter
) -> list[MarkedGroup]:
    """The groups of matching letters, the largest first."""
    groups: Sequence[Group] = await DeadLetters(client, account).groups(wanted)
    marks = await GroupStates(client, account).read()
    return [MarkedGroup(one, marks.get(one.fingerprint, UNMARKED)) for one in groups]


async def rows_of(
    client: redis.asyncio.Redis, account: str, found: Sequence[MarkedGroup], hours: int = 0
) -> list[dict[str, Any]]:
    """These groups as programs are shown them. hours: with how many letters died in each of so many last hours, `by_hour`."""
    rows = [one.as_json() for one in found]
    if not hours:
        return rows
    names = [row["fingerprint"] for row in rows]
    counted = await DeadLetters(client, account).by_hour(names, hours)
    return [row | {"by_hour": counted[row["fingerprint"]]} for row in rows]


async def count_open(client: redis.asyncio.Redis, account: str) -> int:
    """How many groups are not set aside; no letter is looked at for it."""
    marked = list(await GroupStates(client, account).read())
    async with client.pipeline(transaction=False) as pipe:
        pipe.zcard(keys.dead_causes(account))
        if marked:
            pipe.zmscore(keys.dead_causes(account), marked)
        count, *scores = await pipe.execute()
    return int(count) - sum(one is not None for found in scores for one in found)


async def mark_group(
    client: redis.asyncio.Redis,
    account: str,
    fingerprint: str,
    state: GroupState,
    by: str,
    why: str,
) -> Act:
    """Say of a group where a person stands with it; returns the line for the audit trail. Raises UnknownGroup."""
    if not await DeadLetters(client, account).count(Filter(group=fingerprint)):
        raise UnknownGroup(f"There is no group {fingerprint!r} in account {account}.")
    await GroupStates(client, account).set(fingerprint, state, by, why)
    return Act(by, "mark", f"group {fingerprint} {state.value}", 0, why)
