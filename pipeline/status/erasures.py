"""Erasures of people that have begun and not ended: until they do, Redis keeps the ids of those people, or their hashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from pipeline.settings import DEFAULT_ACCOUNT
from pipeline.storage import keys


@dataclass(frozen=True, slots=True)
class Unfinished:
    """How many of an account have not ended, while none of them runs."""

    account: str
    people: int

    @property
    def why(self) -> str:
        """What is the matter: a clause without an end. It names no person."""
        said = "1 erasure of a person" if self.people == 1 else f"{self.people} erasures of people"
        verb = "is" if self.people == 1 else "are"
        return f"{said} {verb} unfinished in account {self.account}"

    @property
    def fix(self) -> str:
        """What a person can do about it: a clause without an end."""
        other = f" --account {self.account}" if self.account != DEFAULT_ACCOUNT else ""
        return f"run `sailpipe forget ID{other}` again, with the id that it was begun with"


async def unfinished_erasures(
    client: redis.asyncio.Redis, accounts: Sequence[str]
) -> list[Unfinished]:
    """Of the accounts that have any. While one runs in an account, nothing is said of that account."""
    async with client.pipeline(transaction=False) as pipe:
        for name in accounts:
            pipe.hlen(keys.forgetting(name))
            pipe.exists(keys.forget_lease(name))
        replies: list[Any] = await pipe.execute()
    rows = zip(accounts, replies[::2], replies[1::2], strict=True)
    return [Unfinished(name, people) for name, people, runs in rows if people and not runs]
