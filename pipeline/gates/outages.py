"""Sees how Sailthru answers, and closes and opens the gates that outcomes call for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import replace

import redis.exceptions

from pipeline.clock import Clock
from pipeline.gates.circuit import Health, probe_delay
from pipeline.gates.gates import Closure, GateReason, Gates
from pipeline.lanes import HOST_OF, HOSTS, Host
from pipeline.mailbox.claim import Claim
from pipeline.observe.logs import log_event
from pipeline.outcomes import Misconfigured, Outage, Throttled, Verdict
from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure
from pipeline.sailthru.calls import Call

FIRST_CONFIG_PROBE = 3
"""Wrong credentials are probed as if three probes had failed: after 8 s, then 16 ... 60 s."""


class Outages:
    """One account's view of whether Sailthru is there, shared with other processes by gates.

    Nothing here may cost the answer that it was told of: while Redis is away gates stay as they are.
    """

    def __init__(self, gates: Gates, clock: Clock) -> None:
        self._gates = gates
        self._clock = clock
        self._health: dict[Host, Health] = {host: Health(host) for host in HOSTS}

    async def seen(self, claim: Claim, call: Call, answer: Answer, now_ms: int) -> Health:
        """The health of the host that was called, this answer included."""
        answered = isinstance(answer, Accepted) or answer.failure is not Failure.UNAVAILABLE
        host = HOST_OF.get(call.endpoint, "api")
        health = self._health[host].seen(
            self._clock.monotonic(),
            call.endpoint,
            claim.user,
            answered=answered,
            refused=isinstance(answer, Failed) and answer.is_bad_address,
        )
        self._health[host] = health
        if answered:
            return health
        try:
            closure = await self._gates.closure(host, "circuit", now_ms)
        except redis.exceptions.RedisError as error:
            _unwritten(claim, error)
            return health
        return replace(health, closed=closure is not None)

    async def apply(self, verdict: Verdict, claim: Claim, health: Health, now_ms: int) -> None:
        """Open the gates that an answered probe shows to be over, and close the one a verdict calls for."""
        if health.answered and claim.probe:
            await self._unless_away(claim, self._open(health.host, verdict))
        if isinstance(verdict, Outage | Throttled | Misconfigured):
            await self._unless_away(claim, self._close(verdict, claim, health.host, now_ms))

    async def _unless_away(self, claim: Claim, change: Awaitable[None]) -> None:
        try:
            await change
        except redis.exceptions.RedisError as error:
            _unwritten(claim, error)

    async def _close(
        self, verdict: Outage | Throttled | Misconfigured, claim: Claim, host: Host, now_ms: int
    ) -> None:
        match verdict:
            case Outage():
                self._recover(host)
                await self._close_until_probe(host, "circuit", now_ms, "Sailthru does not answer")
            case Throttled(bucket, until):
                log_event("throttled", logging.WARNING, account=claim.account, bucket=bucket)
                text = "429 until the reset"
                await self._gates.close(
                    Closure(bucket, "throttled", int(until * 1000), now_ms, text)
                )
            case Misconfigured(detail, _, code):
                text = f"Sailthru error {code}: {detail}"
                await self._close_until_probe(host, "misconfigured", now_ms, text)

    def _recover(self, host: Host) -> None:
        self._health[host] = self._health[host].recovered()

    async def _open(self, host: Host, verdict: Verdict) -> None:
        self._recover(host)
        await self._gates.open(host, "circuit")
        if not isinstance(verdict, Misconfigured | Throttled):
            await self._gates.open(host, "misconfigured")

    async def _close_until_probe(
        self, host: Host, reason: GateReason, now_ms: int, detail: str
    ) -> None:
        """Close a gate that a probe will open; each probe that failed doubles the pause."""
        before = await self._gates.closure(host, reason, now_ms)
        if before is None:
            tries = FIRST_CONFIG_PROBE if reason == "misconfigured" else 0
            before = Closure(host, reason, 0, now_ms, detail, tries)
        elif before.until > now_ms:
            return
        else:
            before = replace(before, detail=detail, tries=before.tries + 1)
        until = now_ms + int(probe_delay(before.tries) * 1000)
        await self._gates.close(replace(before, until=until))


def _unwritten(claim: Claim, error: Exception) -> None:
    name = type(error).__name__
    log_event("gate_unwritten", logging.WARNING, account=claim.account, error=name)
