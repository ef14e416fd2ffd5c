"""One erasure at a time in an account: two would each replace the audit trail by a copy that the other has not seen."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import redis.asyncio
import redis.exceptions
from redis.asyncio.lock import Lock

from pipeline.clock import Clock
from pipeline.errors import SailpipeError
from pipeline.storage import keys

LEASE_S: Final = 15.0
"""So long the lease of a process that was killed lasts on."""
_RENEWALS: Final = 5
"""A lease is renewed so often in its time."""
_LOOK_S: Final = 0.5
_TOKEN_BYTES: Final = 16


class ErasureUnderWay(SailpipeError):
    """Another erasure has the account's lease."""

    def __str__(self) -> str:
        return "Another person is being erased in this account: wait until that has ended, and run this again."


class ErasureLeaseLost(SailpipeError):
    """This process stood still for so long that another may have the lease."""

    def __str__(self) -> str:
        return "This process stood still, or could not reach Redis, for too long: run it again."


@dataclass(frozen=True, slots=True)
class ErasureLease:
    """token: what Redis knows it by."""

    token: str
    _renewing: asyncio.Task[None]

    def check(self) -> None:
        """Raises ErasureLeaseLost."""
        if self._renewing.done():
            raise ErasureLeaseLost


@asynccontextmanager
async def hold_lease(
    client: redis.asyncio.Redis, account: str, clock: Clock, on_wait: Callable[[str], None]
) -> AsyncIterator[ErasureLease]:
    """Wait for the lease for as long as that of a dead process lasts, and renew it until the end.

    Raises ErasureUnderWay.
    """
    token = secrets.token_hex(_TOKEN_BYTES)
    lock = Lock(client, keys.forget_lease(account), timeout=LEASE_S, blocking=False)
    began = clock.monotonic()
    while not await lock.acquire(token=token):
        if clock.monotonic() - began > LEASE_S + _LOOK_S:
            raise ErasureUnderWay
        on_wait("another person is being erased in this account")
        await clock.sleep(_LOOK_S)
    renewing = asyncio.create_task(_renew(lock))
    try:
        yield ErasureLease(token, renewing)
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
        with suppress(redis.exceptions.LockError):  # it has run out, and may be another's
            await lock.release()


async def _renew(lock: Lock) -> None:
    """Until it is lost, or Redis does not answer. By Redis' own time, whatever the clock of a test says."""
    with suppress(redis.exceptions.RedisError):
        while True:
            await asyncio.sleep(LEASE_S / _RENEWALS)
            await lock.extend(LEASE_S, replace_ttl=True)
