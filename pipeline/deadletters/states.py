"""What people said of groups of dead letters: acknowledged, ignored, or open again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis.asyncio

from pipeline.clock import iso
from pipeline.storage import keys


class GroupState(StrEnum):
    """Where a person stands with a group. Its letters are kept and replayed the same in each."""

    OPEN = "open"
    """No person has looked at it."""
    ACKNOWLEDGED = "acknowledged"
    """A person works on it."""
    IGNORED = "ignored"
    """It may stay as it is."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A group's state: who set it, when (Unix ms) and why."""

    state: GroupState = GroupState.OPEN
    by: str = ""
    why: str = ""
    at_ms: int = 0

    def as_json(self) -> dict[str, Any]:
        """For a line of `dead stats --json`."""
        return {
            "state": self.state.value,
            "state_by": self.by or None,
            "state_why": self.why or None,
            "state_at": iso(self.at_ms) if self.at_ms else None,
        }


class GroupStates:
    """One account's marks. They stay when a group's letters are gone: it may come back. Connection errors propagate."""

    def __init__(self, client: redis.asyncio.Redis, account: str) -> None:
        self._redis = client
        self._key = keys.dead_states(account)

    async def read(self) -> dict[str, Mark]:
        """Fingerprint -> mark, of all groups that have one."""
        rows: Any = await self._redis.hgetall(self._key)
        return {name.decode(): _mark(value) for name, value in rows.items()}

    async def set(self, fingerprint: str, state: GroupState, by: str, why: str) -> None:
        """Mark a group; one that is open again has no mark."""
        if state is GroupState.OPEN:
            await self._redis.hdel(self._key, fingerprint)
            return
        seconds, micros = await self._redis.time()
        row = {"state": state.value, "by": by, "why": why, "at": seconds * 1000 + micros // 1000}
        await self._redis.hset(self._key, fingerprint, json.dumps(row))

    async def forget(self, before_ms: int) -> int:
        """Forget marks that were set before then; returns how many."""
        old = [name for name, mark in (await self.read()).items() if mark.at_ms < before_ms]
        return int(await self._redis.hdel(self._key, *old)) if old else 0


def _mark(value: bytes) -> Mark:
    row = json.loads(value)
    return Mark(GroupState(row["state"]), row["by"], row["why"], row["at"])
