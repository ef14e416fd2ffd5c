"""The splitter's dedupe alone, without streams and mailboxes around it."""

from __future__ import annotations

from collections.abc import Sequence

import redis.asyncio
from pydantic_core import to_json

from pipeline.splitter.entries import ActionKind, DedupeKey, SplitAction
from pipeline.splitter.triage import dedupe_hash
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts

WINDOW_MS = 86_400_000
START_MS = 1_700_006_400_000
"""A multiple of a quarter of the window: where a slice begins."""


class Dedupe:
    """The split script, asked about hashes alone: its entries are ignored events."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.redis = client
        self._scripts = Scripts(client, "pipeline.splitter")
        self.now = START_MS

    async def duplicates(self, ids: Sequence[str]) -> int:
        """Let these pass through the splitter; returns how many of them were known."""
        await self.redis.set(keys.SPLITTER, "token")
        found = 0
        for start in range(0, len(ids), 500):
            args: list[str | int | bytes] = [str(self.now), "token", 5000, "{}"]
            for name in ids[start : start + 500]:
                args += ["1-1", self._action(name), ""]
            duplicates, _ = await self._scripts.run("split", [keys.RAW, keys.SPLITTER], args)
            found += len(duplicates)
        return found

    def _action(self, name: str) -> bytes:
        hashed = dedupe_hash(name, "track", "E")
        key = DedupeKey("sailpipe:default:", name, hashed, WINDOW_MS, replay=False)
        return to_json(SplitAction(key, ActionKind.IGNORED, reason="x", keep=1))
