"""The frame of both commands: no process delivers between `begin` and `end`."""

from __future__ import annotations

from typing import Any

import redis.asyncio

from pipeline.errors import SailpipeError
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts
from pipeline.targets import Owner, Target, Verb


class Change:
    """One change of one account's owner. While it is under way the account belongs to no target."""

    def __init__(self, client: redis.asyncio.Redis, account: str, verb: Verb) -> None:
        self.account = account
        self.redis = client
        self.scripts = Scripts(client, "pipeline.ownership")
        self.prefix = keys.account_prefix(account)
        self._verb: Verb = verb
        self._begun = Owner(None, verb)

    async def begin(self) -> None:
        """Take the account from all processes, or go on with the same command that was interrupted.

        Raises:
            SailpipeError: a `reset` was interrupted and must be ended first, or another process
                changes the owner, too.
        """
        found = await self._read()
        if found.unfinished == "reset" and self._verb == "adopt":
            raise SailpipeError(
                f"`sailpipe reset` of account {self.account} has not come to its end: run that again first."
            )
        self._begun = Owner(found.target, self._verb)
        await self._swap(found, self._begun)

    async def end(self, target: Target | None) -> None:
        """Give the account to `target`; None gives it to the first process that delivers.

        Raises:
            SailpipeError: another process has changed its owner meanwhile.
        """
        await self._swap(self._begun, Owner(target))

    async def _read(self) -> Owner:
        text: Any = await self.redis.get(keys.target(self.account))
        return Owner.read((text or b"").decode("utf-8", "replace"))

    async def _swap(self, found: Owner, new: Owner) -> None:
        if not await self.scripts.run("own", [self.prefix], [found.text, new.text]):
            raise SailpipeError(
                f"Whose account {self.account} is has changed meanwhile: look at `sailpipe status`."
            )
