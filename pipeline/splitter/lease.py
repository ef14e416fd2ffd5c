"""The splitter's lease, and the strikes counted against the oldest raw entry."""

from __future__ import annotations

from pipeline.errors import SailpipeError
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts

LEASE_MS = 5_000
SINGLY_AFTER, POISON_AFTER = 2, 5
"""Strikes after which entries are split one at a time, and after which the oldest is poison: what
deliveries of a mailbox have, too (`mailbox/lua/wake.lua`, `delivery/fate.py`)."""
_KEYS = [keys.SPLITTER, keys.RAW, keys.SPLITTER_HEAD, keys.SPLITTER_FALLEN, keys.FORMAT]


class LeaseLost(SailpipeError):
    """Another splitter has the lease by now; nothing was written. Neither the event nor Redis is at fault."""


class SplitterLease:
    """One splitter's hold on the raw stream, under a token no other has.

    A strike is a holder that lost the lease and was never heard of again while the oldest entry
    stayed the same. One that was merely frozen, or whose Redis was, takes its strike back by asking.
    """

    def __init__(self, scripts: Scripts, token: str) -> None:
        self.token = token
        self.strikes = 0
        self._scripts = scripts

    async def hold(self) -> bool:
        """Take or keep it and read the strikes. False while another has it."""
        strikes = await self._scripts.run(
            "lease", _KEYS, [self.token, LEASE_MS, keys.FORMAT_NUMBER]
        )
        self.strikes = int(strikes or 0)
        return strikes is not None

    async def release(self) -> None:
        """Give it up: another need not wait for it to expire, and it is no strike."""
        await self._scripts.run("lease", _KEYS, [self.token, 0, keys.FORMAT_NUMBER])
