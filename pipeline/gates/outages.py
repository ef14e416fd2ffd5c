"""Sees how Sailthru answers, and closes and opens the gates that outcomes call for."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace

import redis.exceptions

from pipeline.clock import Clock
from pipeline.gates.circuit import ANSWERS, NO_SIGNS, Health, Signs, probe_delay
from pipeline.gates.gates import Closure, GateReason, Gates
from pipeline.lanes import BUCKETS, HOST_OF
from pipeline.mailbox.claim import Claim
from pipeline.observe.logs import log_event
from pipeline.outcomes import Misconfigured, Outage, Throttled, Verdict
from pipeline.sailthru.answers import Accepted, Answer, Failed, Failure
from pipeline.sailthru.calls import Call

FIRST_CONFIG_PROBE = 3
"""Wrong credentials are probed as if three probes had failed: after 8 s, then 16 ... 60 s."""
REMEMBERED_S = 600.0
"""For how long it is known over which endpoint a host's gate was closed, and what the operator was told."""
PROBE_S = 1.0
"""How soon a call is tried again whose endpoint is being probed by another."""
_LANES = frozenset(BUCKETS.values())
"""The endpoints by which lanes are closed. The gates of others are minded by who is about to call them."""


@dataclass(slots=True)
class _Seen:
    """What this process knows of one host or endpoint; times are monotonic seconds unless they say what else.

    lately: of a host's last hundred answers, the user whose address was refused, or ''.
    closed_over: why the gate of its host was closed over this endpoint -> when that was.
    told_at: when the operator was told last that it refuses the account.
    """

    signs: Signs = NO_SIGNS
    lately: tuple[str, ...] = ()
    closed_over: dict[GateReason, float] = field(default_factory=dict)
    told_at: float | None = None


class Outages:
    """One account's view of whether Sailthru is there, shared with other processes by gates.

    Nothing here may cost the answer that it was told of: while Redis is away gates stay as they are.

    held: endpoint that closes no lane and is closed itself or being probed -> until when (ms).
    """

    def __init__(self, gates: Gates, clock: Clock) -> None:
        self._gates = gates
        self._clock = clock
        self._seen: defaultdict[str, _Seen] = defaultdict(_Seen)
        self.held: dict[str, int] = {}

    def held_s(self, call: Call, now_ms: int) -> float | None:
        """Seconds until a call may be made to an endpoint that closes no lane; None when it may be now.

        Once its gate's time is up one caller is let through, as a probe.
        """
        until = self.held.get(call.bucket)
        if until is None:
            return None
        if until > now_ms:
            return (until - now_ms) / 1000
        self.held[call.bucket] = now_ms + int(PROBE_S * 1000)
        return None

    async def seen(self, claim: Claim, call: Call, answer: Answer, now_ms: int) -> Health:
        """The health of the host and endpoint that were called, this answer included."""
        answered = isinstance(answer, Accepted) or answer.failure is not Failure.UNAVAILABLE
        host, bucket, at = HOST_OF.get(call.endpoint, "api"), call.bucket, self._clock.monotonic()
        of_host, of_endpoint = self._seen[host], self._seen[bucket]
        for one in (of_host, of_endpoint):
            signs = one.signs
            one.signs = (
                signs.after_answer(at) if answered else signs.after_failure(at, bucket, claim.user)
            )
        if answered:
            refused = isinstance(answer, Failed) and answer.is_bad_address
            of_host.lately = (*of_host.lately[-ANSWERS + 1 :], claim.user if refused else "")
        seen, lately = (of_host.signs, of_endpoint.signs), of_host.lately
        closed = "" if answered else await self._closed(claim, (host, bucket), now_ms)
        moves_gates = claim.probe or bucket in self.held or not isinstance(answer, Accepted)
        return Health(host, bucket, at, answered, *seen, closed, moves_gates, lately)

    async def apply(self, verdict: Verdict, claim: Claim, health: Health, now_ms: int) -> None:
        """Open the gates that an answered probe shows to be over, and close the one a verdict calls for."""
        if health.answered and (claim.probe or health.bucket in self.held):
            await self._unless_away(claim, self._open(health, verdict, now_ms))
        if isinstance(verdict, Outage | Throttled | Misconfigured):
            await self._unless_away(claim, self._close(verdict, claim, health, now_ms))

    async def _closed(self, claim: Claim, scopes: tuple[str, str], now_ms: int) -> str:
        try:
            closures = await self._gates.closures(scopes, now_ms)
        except redis.exceptions.RedisError as error:
            _unwritten(claim, error)
            return ""
        return next((one.scope for one in closures if one.reason == "circuit"), "")

    async def _unless_away(self, claim: Claim, change: Awaitable[None]) -> None:
        try:
            await change
        except redis.exceptions.RedisError as error:
            _unwritten(claim, error)

    async def _close(
        self, verdict: Outage | Throttled | Misconfigured, claim: Claim, health: Health, now_ms: int
    ) -> None:
        match verdict:
            case Outage(scope=scope):
                for one in self._seen.values() if scope == health.host else [self._seen[scope]]:
                    one.signs = one.signs.after_closing()
                if not health.closed and self._is_endpoints_own("circuit", health):
                    scope = health.bucket
                text = "Sailthru does not answer"
                await self._close_until_probe(Closure(scope, "circuit", 0, now_ms, text), health)
            case Throttled(bucket, until):
                log_event("throttled", logging.WARNING, account=claim.account, bucket=bucket)
                text = "429 until the reset"
                await self._gates.close(
                    Closure(bucket, "throttled", int(until * 1000), now_ms, text)
                )
            case Misconfigured(detail, _, code):
                scope = await self._refusing(health, now_ms)
                text = f"Sailthru error {code}: {detail}"
                closure = Closure(scope, "misconfigured", 0, now_ms, text, FIRST_CONFIG_PROBE)
                await self._close_until_probe(closure, health)

    async def _refusing(self, health: Health, now_ms: int) -> str:
        """What refuses the account: the host until others of its endpoints take it, then the endpoint."""
        scopes = health.host, health.bucket
        closures = await self._gates.closures(scopes, now_ms)
        closed = [one.scope for one in closures if one.reason == "misconfigured"]
        if closed:
            return closed[0]
        return health.bucket if self._is_endpoints_own("misconfigured", health) else health.host

    def _is_endpoints_own(self, reason: GateReason, health: Health) -> bool:
        """Whether the host's gate was closed over this endpoint lately, and others have opened it since: then the
        trouble is the endpoint's, and its gate is closed alone."""
        closed_at = self._seen[health.bucket].closed_over.get(reason)
        if closed_at is None or health.at - closed_at > REMEMBERED_S:
            return False
        works_at = health.of_endpoint.answered_at
        return reason == "misconfigured" or works_at is None or works_at < closed_at

    async def _close_until_probe(self, closure: Closure, health: Health) -> None:
        """Close a gate that a probe will open; each probe that failed doubles the pause. `closure` as it is when
        there was none."""
        scope, reason, now_ms = closure.scope, closure.reason, closure.since
        before = await self._gates.closure(scope, reason, now_ms)
        if before is None or before.until <= now_ms:
            if before is not None:
                closure = replace(closure, since=before.since, tries=before.tries + 1)
            before = replace(closure, until=now_ms + int(probe_delay(closure.tries) * 1000))
            await self._gates.close(before, quiet=self._was_told(before, health.at))
        if scope == health.host:
            self._seen[health.bucket].closed_over[reason] = health.at
        elif scope not in _LANES:
            self.held[scope] = before.until

    def _was_told(self, closure: Closure, at: float) -> bool:
        """Whether the operator knows: an endpoint that refuses some calls and takes others closes again and again."""
        if closure.reason != "misconfigured" or closure.tries > FIRST_CONFIG_PROBE:
            return False
        seen = self._seen[closure.scope]
        if seen.told_at is not None and at - seen.told_at <= REMEMBERED_S:
            return True
        seen.told_at = at
        return False

    async def _open(self, health: Health, verdict: Verdict, now_ms: int) -> None:
        self.held.pop(health.bucket, None)
        over = {"circuit"}
        if not isinstance(verdict, Misconfigured | Throttled):
            over.add("misconfigured")
        scopes = (health.host, health.bucket)
        for closure in await self._gates.closures(scopes, now_ms):
            if closure.reason in over:
                await self._gates.open(closure.scope, closure.reason)


def _unwritten(claim: Claim, error: Exception) -> None:
    name = type(error).__name__
    log_event("gate_unwritten", logging.WARNING, account=claim.account, error=name)
