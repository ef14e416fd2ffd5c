"""A Sender that is the sandbox, in process: on a test's clock, and with trouble on demand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline.clock import ManualClock
from pipeline.sailthru.answers import Answer, Failed, Failure, read_answer
from pipeline.sailthru.calls import Call
from pipeline.sandbox.sandbox import Sandbox

LATENCY_S = 0.05


class Killed(BaseException):
    """The worker process died here. No handler of the code under test may survive it."""


def no(status: int, code: int, message: str = "No.") -> Answer:
    """What Sailthru says no with, as the client would read it."""
    return read_answer(status, json.dumps({"error": code, "errormsg": message}).encode(), {})


def throttled(reset: float) -> Answer:
    """A 429 with its headers; `reset` in Unix seconds."""
    rate = {
        "X-Rate-Limit-Limit": "2400",
        "X-Rate-Limit-Remaining": "0",
        "X-Rate-Limit-Reset": str(int(reset)),
    }
    return read_answer(429, b'{"error":43,"errormsg":"Too many"}', rate)


BAD_GATEWAY = read_answer(502, b"<html>Bad Gateway</html>", {})
"""Ambiguous: the proxy cannot say whether the call was processed."""
NOT_SENT = Failed(Failure.UNAVAILABLE, None, None, "ConnectionRefusedError")
"""Definite: it never left, as the client reads a refused connection."""
TIMED_OUT = Failed(Failure.UNAVAILABLE, None, None, "timed out", ambiguous=True)
WRONG_KEY = no(401, 3, "Invalid API key")
BAD_ADDRESS = no(400, 11, "Invalid email")
REFUSED = no(400, 99, "That is not allowed")
NO_ORDER = no(400, 99, "Purchase not found with extid: o1")


@dataclass(slots=True)
class Trouble:
    """What happens to the calls it is about: a refusal, or death (`answer` None).

    processed: the call takes effect all the same. times: how many calls it hits; None for all.
    """

    hits: Callable[[Call], bool]
    answer: Answer | None
    processed: bool = False
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A call as it left. `at` in Unix seconds."""

    at: float
    call: Call


class FakeSailthru:
    """Sends calls to a sandbox and remembers them; `latency_s` passes with each."""

    def __init__(self, sandbox: Sandbox, clock: ManualClock) -> None:
        self.sandbox = sandbox
        self.sent: list[Sent] = []
        self.latency_s = LATENCY_S
        self.troubles: list[Trouble] = []
        self._clock = clock

    def trouble(
        self,
        answer: Answer | None,
        *,
        on: str = "",
        about: str = "",
        processed: bool = False,
        times: int | None = None,
    ) -> Trouble:
        """Spoil calls of one bucket (`POST /event`) that mention `about`; take it out to end it."""

        def hits(call: Call) -> bool:
            return on in ("", call.bucket) and about in json.dumps(dict(call.params))

        made = Trouble(hits, answer, processed, times)
        self.troubles.append(made)
        return made

    async def send(self, call: Call, is_over: Callable[[], bool]) -> Answer:
        """The answer, classified by the code that reads real replies."""
        self.sent.append(Sent(self._clock.now(), call))
        trouble = self._take(call)
        self._clock.advance(self.latency_s)
        if trouble is not None and not trouble.processed:
            return self._spoiled(trouble, call)
        reply = self.sandbox.handle(call.method, call.endpoint, call.params, self._clock.now())
        if trouble is not None:
            return self._spoiled(trouble, call)
        body = json.dumps(reply.body).encode()
        answer = read_answer(reply.status, body, {}, pageview=call.is_pageview)
        return replace(answer, duration_s=self.latency_s)

    def calls(self, bucket: str) -> list[Call]:
        """The calls of one bucket, in the order they left."""
        return [one.call for one in self.sent if one.call.bucket == bucket]

    def times(self, bucket: str) -> list[float]:
        """When they left."""
        return [one.at for one in self.sent if one.call.bucket == bucket]

    def _take(self, call: Call) -> Trouble | None:
        for trouble in self.troubles:
            if trouble.times != 0 and trouble.hits(call):
                if trouble.times is not None:
                    trouble.times -= 1
                return trouble
        return None

    def _spoiled(self, trouble: Trouble, call: Call) -> Answer:
        answer = trouble.answer
        if answer is None:
            raise Killed
        if isinstance(answer, Failed) and call.method == "GET":
            answer = replace(answer, ambiguous=False)  # as the client does: it only read
        return replace(answer, duration_s=self.latency_s)
