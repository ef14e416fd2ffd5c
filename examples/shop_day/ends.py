"""How the sample ended, beside what its expectation says. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

WAITS_FOR = {"missing_email": "email", "unknown_user": "user"}
"""Reason of a dead letter -> what its event waits for before (CAUSES). With the default settings the wait takes days."""


@dataclass(frozen=True, slots=True)
class Ends:
    """What became of the sample's events so far.

    ignored: reason -> events. dead: id -> reason. waiting: what they wait for -> events.
    """

    delivered: int = 0
    duplicates: int = 0
    ignored: Mapping[str, int] = field(default_factory=dict)
    dead: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)

    @property
    def through(self) -> int:
        """Events that have ended."""
        ignored = sum(self.ignored.values())
        return self.delivered + self.duplicates + ignored + len(self.dead)

    @property
    def waiting_long(self) -> int:
        """Events that wait for an email, or for Sailthru to know their user."""
        return sum(self.waiting.get(cause, 0) for cause in WAITS_FOR.values())


@dataclass(frozen=True, slots=True)
class Difference:
    """events: how many did not end as expected, 0 where another difference has counted them."""

    events: int
    text: str


def differences(expected: Mapping[str, Any], found: Ends) -> list[Difference]:
    """What is not as `shop-day.expected.json` says. An event may still wait for what it will die of."""
    counted = (
        ("delivered", expected["delivered"], found.delivered),
        ("dropped as a repeat", expected["duplicates"], found.duplicates),
        *(
            (f"ignored as {reason}", expected["ignored"].get(reason, 0), found.ignored[reason])
            for reason in found.ignored
        ),
        *(
            (f"ignored as {reason}", events, 0)
            for reason, events in expected["ignored"].items()
            if reason not in found.ignored
        ),
    )
    wrong = [
        Difference(max(0, want - have), f"{what}: {have} events, expected {want}")
        for what, want, have in counted
        if want != have
    ]
    return [*wrong, *_letters(expected["dead"], found)]


def _letters(expected: Mapping[str, str], found: Ends) -> Iterator[Difference]:
    missing = Counter(reason for one, reason in expected.items() if one not in found.dead)
    for reason, events in missing.items():
        waiting = found.waiting.get(WAITS_FOR.get(reason, ""), 0)
        if waiting != events:
            text = f"dead letters of {reason}: {events} are missing, {waiting} events wait for it"
            yield Difference(max(0, events - waiting), text)
    for cause in set(WAITS_FOR.values()) - {WAITS_FOR.get(reason) for reason in missing}:
        if waiting := found.waiting.get(cause, 0):
            yield Difference(0, f"{waiting} events wait (sailpipe waiting --for {cause})")
    for one, reason in found.dead.items():
        if expected.get(one) != reason:
            wanted = expected.get(one, "no dead letter")
            yield Difference(one in expected, f"dead letter {one}: {reason}, expected {wanted}")
