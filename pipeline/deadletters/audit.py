"""Who did what to dead letters, what waits, gates, limits or a whole account, when and why: a bounded stream.

It names fields that were changed and filters that were used, never the values that were written: a person who is
erased must not go on living here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from pipeline.clock import iso
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts


@dataclass(frozen=True, slots=True)
class Act:
    """One act. by: who, as the face knows it. verb: `replay`, `edit`, `pause`, `limit`, `reset` and so on. what: the filter in
    words, or the letter, and the changes; a lane; a bucket. count: letters, events that waited, or 1. why: what the person said, may be ''. at_ms: 0 until it
    is written. receipt: of a person who was erased, as JSON (forget/receipt.py). id: its place in the trail, '' until it is
    written."""

    by: str
    verb: str
    what: str
    count: int
    why: str = ""
    at_ms: int = 0
    receipt: str = ""
    id: str = ""

    def as_json(self, account: str) -> dict[str, Any]:
        """One line of `dead audit --json`; the time is ISO 8601 in UTC."""
        row = {
            "at": iso(self.at_ms),
            "account": account,
            "by": self.by,
            "verb": self.verb,
            "what": self.what,
            "count": self.count,
            "why": self.why or None,
        }
        return row | ({"receipt": json.loads(self.receipt)} if self.receipt else {})


class AuditTrail:
    """One account's acts. Connection errors propagate."""

    def __init__(self, client: redis.asyncio.Redis, account: str) -> None:
        self._redis = client
        self._key = keys.audit(account)
        self._prefix = keys.account_prefix(account)
        self._scripts = Scripts(client, "pipeline.deadletters")

    async def record(self, act: Act) -> None:
        """Write an act down, before or after it is done."""
        row = {"by": act.by, "verb": act.verb, "what": act.what, "count": act.count, "why": act.why}
        if act.receipt:
            row["receipt"] = act.receipt
        flat = [part for pair in row.items() for part in pair]
        await self._scripts.run("audit", [self._prefix], flat)

    async def latest(self, limit: int, before: str = "") -> list[Act]:
        """The newest acts, the newest first; those before the one of this `id`."""
        found: Any = await self._redis.xrevrange(
            self._key, max=f"({before}" if before else "+", count=limit
        )
        return [_act(sid, fields) for sid, fields in found]

    async def one(self, identity: str) -> list[Act]:
        """The act of this `id`; nothing when it is not kept any more."""
        found: Any = await self._redis.xrange(self._key, identity, identity)
        return [_act(sid, fields) for sid, fields in found]


def _act(sid: bytes, fields: dict[bytes, bytes]) -> Act:
    text = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
    at_ms = int(sid.partition(b"-")[0])
    said = text["by"], text["verb"], text["what"], int(text["count"]), text["why"]
    return Act(*said, at_ms, text.get("receipt", ""), sid.decode())
