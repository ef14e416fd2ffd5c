"""Closes and opens gates on delivery's behalf, and says so once."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pipeline.mailbox.gates import Bar, GateReason, Gates
from pipeline.observe.logs import log_event

ALERTED: frozenset[GateReason] = frozenset({"circuit", "misconfigured", "brake"})
"""What a person should hear of. Throttling is daily business, a pause was a person's own doing."""

Alert = Callable[[str, Bar], None]


class Gatekeeper:
    """One account's gates, as delivery sees them."""

    def __init__(self, account: str, gates: Gates, alert: Alert) -> None:
        self.account = account
        self._gates = gates
        self._alert = alert

    async def bar(self, scope: str, reason: GateReason, now_ms: int) -> Bar | None:
        """This reason, if it holds in this scope or waits for a probe."""
        bars = await self._gates.bars([scope], now_ms)
        return next((bar for bar in bars if bar.reason == reason), None)

    async def close(self, bar: Bar) -> None:
        """Set a reason. Of all processes only the one that set it first says so."""
        if not await self._gates.close(bar) or bar.reason not in ALERTED:
            return
        fields = {"scope": bar.scope, "reason": bar.reason, "detail": bar.detail}
        log_event("gate_closed", logging.ERROR, account=self.account, **fields)
        self._alert(self.account, bar)

    async def open(self, scope: str, reason: GateReason) -> None:
        """Remove a reason, if it is there."""
        if await self._gates.open(scope, reason):
            log_event("gate_opened", account=self.account, scope=scope, reason=reason)
