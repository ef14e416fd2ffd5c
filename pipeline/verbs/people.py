"""Why a person got no mail, for whichever face asks: what is known here, and one call to Sailthru."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from pipeline.errors import SailpipeError
from pipeline.sailthru.answers import Answer
from pipeline.sailthru.calls import Call
from pipeline.status.person import Finding, why_no_mail

Ask: TypeAlias = Callable[[str, Call], Awaitable[Answer]]
"""Makes one call for an account, within the limits of all processes. Raises NotAsked."""


class NotAsked(SailpipeError):
    """No call was made. `what`: why. It may be asked again in `wait_s` seconds."""

    def __init__(self, what: str, wait_s: float) -> None:
        super().__init__(what, wait_s)
        self.what = what
        self.wait_s = wait_s

    def __str__(self) -> str:
        return f"Sailthru was not asked: {self.what}. Try again in {self.wait_s:.0f} s."


async def explain(person: dict[str, Any], ask: Ask) -> list[Finding]:
    """What stands between a person (as `read_person` says it) and a mail; asks once. Raises NotAsked."""
    return await why_no_mail(person, lambda call: ask(person["account"], call))
