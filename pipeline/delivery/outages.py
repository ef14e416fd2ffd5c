"""Opens and closes the gates that Sailthru's answers call for: circuit, misconfigured, throttled."""

from __future__ import annotations

import logging
from dataclasses import replace

import redis.exceptions

from pipeline.clock import Clock
from pipeline.delivery.circuit import Circuit, probe_delay
from pipeline.delivery.gatekeeper import Gatekeeper
from pipeline.mailbox.claim import Claim
from pipeline.mailbox.gates import Bar, GateReason
from pipeline.mailbox.lanes import Host, host_of
from pipeline.observe.logs import log_event
from pipeline.outcomes import Misconfigured, Outage, Outcome, Retry, Throttled
from pipeline.sailthru.answers import Accepted, Answer, Failure
from pipeline.sailthru.calls import Call

FIRST_CONFIG_PROBE = 3
"""Wrong credentials are probed as if three probes had failed: after 8 s, then 16 ... 60 s."""


class Outages:
    """One account's view of whether Sailthru is there, shared with other processes by gates.

    Nothing here may cost the answer that it was told of: while Redis is away gates stay as they are.
    """

    def __init__(self, gatekeeper: Gatekeeper, clock: Clock) -> None:
        self._gates = gatekeeper
        self._clock = clock
        self._circuits: dict[Host, Circuit] = {"api": Circuit(), "track": Circuit()}

    async def note(
        self, claim: Claim, call: Call, answer: Answer, now_ms: int, dying_s: float | None = None
    ) -> bool:
        """Take an answer in. True when it is part of an outage and so not the event's failure.

        dying_s: for how long the event has failed, if one more failure is its end.
        """
        ok = isinstance(answer, Accepted) or answer.failure is not Failure.UNAVAILABLE
        now, circuit = self._clock.monotonic(), self._circuits[host_of(call)]
        is_down = circuit.note(now, call.endpoint, claim.user, ok=ok, dying_s=dying_s)
        try:
            if not ok:
                return await self._unanswered(claim, call, now_ms, is_down=is_down)
            await self._answered(claim, call, answer)
        except redis.exceptions.RedisError as error:
            _unwritten(claim, error)
        return is_down

    async def close_for(self, outcome: Outcome, claim: Claim, now_ms: int) -> None:
        """Close the gate an outcome calls for, if any."""
        try:
            match outcome:
                case Throttled(bucket, until):
                    log_event("throttled", logging.WARNING, account=claim.account, bucket=bucket)
                    text = "429 until the reset"
                    await self._gates.close(
                        Bar(bucket, "throttled", int(until * 1000), now_ms, text)
                    )
                case Misconfigured(detail, call, code):
                    text = f"Sailthru error {code}: {detail}"
                    await self._shut(host_of(call), "misconfigured", now_ms, text)
                case _:
                    pass
        except redis.exceptions.RedisError as error:
            _unwritten(claim, error)

    async def _answered(self, claim: Claim, call: Call, answer: Answer) -> None:
        host, failure = host_of(call), getattr(answer, "failure", None)
        if not claim.probe:
            return
        self._circuits[host].reset()
        await self._gates.open(host, "circuit")
        if failure not in (Failure.MISCONFIGURED, Failure.THROTTLED):
            await self._gates.open(host, "misconfigured")

    async def _unanswered(self, claim: Claim, call: Call, now_ms: int, *, is_down: bool) -> bool:
        host = host_of(call)
        if not is_down and await self._gates.bar(host, "circuit", now_ms) is None:
            return False
        self._circuits[host].reset()
        await self._shut(host, "circuit", now_ms, "Sailthru does not answer")
        return True

    async def _shut(self, host: Host, reason: GateReason, now_ms: int, detail: str) -> None:
        """Close a gate that a probe will open; each probe that failed doubles the pause."""
        before = await self._gates.bar(host, reason, now_ms)
        if before is None:
            tries = FIRST_CONFIG_PROBE if reason == "misconfigured" else 0
            before = Bar(host, reason, 0, now_ms, detail, tries)
        elif before.until > now_ms:
            return
        else:
            before = replace(before, detail=detail, tries=before.tries + 1)
        until = now_ms + int(probe_delay(before.tries) * 1000)
        await self._gates.close(replace(before, until=until))


def as_outage(outcome: Outcome) -> Outcome:
    """A failure that belongs to an outage uses up no attempt."""
    return Outage(outcome.error, outcome.ambiguous) if isinstance(outcome, Retry) else outcome


def _unwritten(claim: Claim, error: Exception) -> None:
    name = type(error).__name__
    log_event("gate_unwritten", logging.WARNING, account=claim.account, error=name)
