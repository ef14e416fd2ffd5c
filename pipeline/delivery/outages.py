"""Opens and closes the gates that delivery itself sets: circuit, misconfigured, throttled."""

from __future__ import annotations

import logging

from pipeline.clock import Clock
from pipeline.delivery.circuit import Circuit, probe_delay
from pipeline.mailbox.gates import Bar, GateReason, Gates
from pipeline.mailbox.lanes import Host, host_of
from pipeline.mailbox.store import Claim
from pipeline.observe.logs import log_event
from pipeline.outcomes import Misconfigured, Outage, Outcome, Retry, Throttled
from pipeline.sailthru.answers import Accepted, Answer, Failure, Refused
from pipeline.sailthru.calls import Call

FIRST_CONFIG_PROBE = 3
"""Wrong credentials are probed as if three probes had failed: after 8 s, then 16 ... 60 s."""


class Outages:
    """One account's view of whether Sailthru is there, shared with other processes by gates."""

    def __init__(self, gates: Gates, clock: Clock) -> None:
        self._gates = gates
        self._clock = clock
        self._circuits: dict[Host, Circuit] = {"api": Circuit(), "track": Circuit()}
        self._down: set[Host] = set()

    async def note(self, claim: Claim, call: Call, answer: Answer, now_ms: int) -> bool:
        """Take an answer in. True when it is part of an outage and so not the event's failure."""
        host = host_of(call)
        if isinstance(answer, Accepted) or answer.failure is not Failure.UNAVAILABLE:
            self._note_ok(host, call, claim)
            await self._recovered(claim, host, answer)
            return False
        tripped = self._circuits[host].note(
            self._clock.monotonic(), call.endpoint, claim.user, ok=False
        )
        if not (tripped or claim.probe or host in self._down):
            return False
        await self._bar(host, "circuit", now_ms, "Sailthru does not answer", first=0)
        self._down.add(host)
        return True

    def _note_ok(self, host: Host, call: Call, claim: Claim) -> None:
        self._circuits[host].note(self._clock.monotonic(), call.endpoint, claim.user, ok=True)

    async def _recovered(self, claim: Claim, host: Host, answer: Answer) -> None:
        if not claim.probe and host not in self._down:
            return
        self._down.discard(host)
        self._circuits[host].reset()
        if await self._gates.open(host, "circuit"):
            log_event("gate_opened", account=claim.account, scope=host, reason="circuit")
        wrong = isinstance(answer, Refused) and answer.failure is Failure.MISCONFIGURED
        if not wrong and await self._gates.open(host, "misconfigured"):
            log_event("gate_opened", account=claim.account, scope=host, reason="misconfigured")

    async def close_for(self, outcome: Outcome, claim: Claim, now_ms: int) -> None:
        """Close the gate an outcome calls for, if any."""
        match outcome:
            case Throttled(bucket, until):
                log_event("throttled", logging.WARNING, account=claim.account, bucket=bucket)
                bar = Bar(bucket, "throttled", int(until * 1000), now_ms, "429 until the reset")
                await self._gates.close(bar)
            case Misconfigured(detail, code):
                text = f"Sailthru error {code}: {detail}"
                await self._bar("api", "misconfigured", now_ms, text, first=FIRST_CONFIG_PROBE)
            case _:
                pass

    async def _bar(
        self, scope: Host, reason: GateReason, now_ms: int, detail: str, *, first: int
    ) -> None:
        bars = await self._gates.bars([scope], now_ms)
        before = next((bar for bar in bars if bar.reason == reason), None)
        if before and before.until > now_ms:
            return
        tries = before.tries + 1 if before else first
        since = before.since if before else now_ms
        until = now_ms + int(probe_delay(tries) * 1000)
        await self._gates.close(Bar(scope, reason, until, since, detail, tries))
        if before is None:
            log_event("gate_closed", logging.ERROR, scope=scope, reason=reason, detail=detail)


def as_outage(outcome: Outcome) -> Outcome:
    """A failure that belongs to an outage uses up no attempt."""
    return Outage(outcome.error, outcome.ambiguous) if isinstance(outcome, Retry) else outcome
