"""What any history of mailboxes does to dead letters: rules for the machine that compares it to a model."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import fakeredis
import redis.asyncio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipeline.deadletters.filters import Filter
from pipeline.deadletters.store import DeadLetters
from pipeline.deadletters.trimming import TrimGroup
from pipeline.events.models import Lane
from tests.support.mailbox_model import Item, Model
from tests.support.mailboxes import Mailboxes

T = TypeVar("T")
PICK = st.integers(0, 1_000)
HOUR_MS = 3_600_000
NUMBERED = r"~\d+-\d+"
"""How the id of a letter ends whose event had a letter already."""


async def indexed(client: redis.asyncio.Redis) -> dict[str, set[str]]:
    """Index -> the ids in it."""
    names: list[Any] = await client.keys("*:dead:by:*")
    found: dict[str, set[str]] = {}
    for name in names:
        ids: list[Any] = await client.zrange(name, 0, -1)
        found[name.decode()] = {one.decode() for one in ids}
    return found


class LetterRules(RuleBasedStateMachine):
    """Redis and model, and the rules that replay, drop and trim letters in both."""

    url: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.boxes = self.run(self._open())
        self.model = Model(self.boxes.now_ms(), self._numbered_name)

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(doing)

    async def _open(self) -> Mailboxes:
        if self.url is None:
            return Mailboxes(fakeredis.FakeAsyncRedis())
        client = redis.asyncio.Redis.from_url(self.url)
        await client.flushall()
        return Mailboxes(client)

    def _numbered_name(self, item: Item) -> str:
        """What Redis called the letter of an event that had one already."""
        [name] = [
            name
            for name, one in self.run(self.boxes.dead()).items()
            if json.loads(one["raw"])["number"] == item.number
        ]
        assert re.fullmatch(re.escape(item.id) + NUMBERED, name)
        return name

    @precondition(lambda self: self.model.dead)
    @rule(pick=PICK)
    def replay(self, pick: int) -> None:
        name = sorted(self.model.dead)[pick % len(self.model.dead)]
        assert self.run(self.boxes.moves.replay([name, "gone"])) == [name]
        self.model.revive(name)

    @precondition(lambda self: self.model.dead)
    @rule(pick=PICK)
    def drop(self, pick: int) -> None:
        name = sorted(self.model.dead)[pick % len(self.model.dead)]
        assert self.run(self.boxes.moves.drop([name, "gone"])) == 1
        del self.model.dead[name]
        self.model.counts["removed"] += 1

    @precondition(lambda self: self.model.dead)
    @rule(most=st.integers(1, 12))
    def trim(self, most: int) -> None:
        """No more go than are too many, and no order while there is anything else."""
        before = set(self.model.dead)
        trimmed = self.run(DeadLetters(self.boxes.redis, "default").trim(most))
        gone = before - set(self.run(self.boxes.dead()))
        assert len(gone) == trimmed.letters == max(0, len(before) - most)
        orders = {name for name in before if self.model.dead[name][0].lane is Lane.PURCHASE}
        assert len(gone & orders) == trimmed.orders == max(0, len(orders) - most)
        for name in gone:
            _, reason = self.model.dead.pop(name)
            self.model.counts["removed"] += 1
            self.model.counts[f"trimmed:{reason}"] += 1

    @invariant()
    def every_letter_is_counted_in_its_group(self) -> None:
        """What a trim is decided by."""
        found = Counter(
            TrimGroup(
                one["died_at"] // HOUR_MS,
                "order" if one.get("order") else one["lane"],
                one["reason"],
                one.get("fingerprint", "")[-1:],
            )
            for one in self.run(self.boxes.dead()).values()
        )
        assert self.run(self.boxes.dead_groups()) == found

    @invariant()
    def every_letter_is_in_its_indexes_and_nothing_else_is(self) -> None:
        """By cause, by lane and reason, by user: what filters go by."""
        expected: dict[str, set[str]] = {}
        for name, one in self.run(self.boxes.dead()).items():
            wanted = [
                Filter(group=one["fingerprint"]),
                Filter(lane=one["lane"], reason=one["reason"]),
                *([Filter(user=one["user"])] if one["user"] else []),
            ]
            for key in (key for each in wanted for key in each.indexes("default")):
                expected.setdefault(key, set()).add(name)
        assert self.run(indexed(self.boxes.redis)) == expected
