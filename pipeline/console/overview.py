"""The overview: is it well, and if not, what to do. From the status to sentences; no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from pipeline.processes.history import EVERY_MS, Sample
from pipeline.status.outlook import Prospect, measure
from pipeline.status.signs import Signs
from pipeline.words import TERMS

PLOT_WIDTH: Final = 240
PLOT_HEIGHT: Final = 40
PLOTTED: Final = 60
"""Samples in a plot: 15 minutes of them."""
SLOW_S: Final = 60.0
"""Seconds that the oldest event of a lane may wait, unless it waits for something of its own."""


LEADS: Final[Mapping[str, str]] = {
    "arrived": "/console/counts#arrived",
    "waiting": "/console/waiting",
    "dead": "/console/problems",
    **{
        name: f"/console/counts#{name}"
        for name in ("delivered", "ignored", "duplicates", "removed")
    },
}
"""From a number of the flow to the page that has the same in detail."""
MEANINGS: Final[Mapping[str, str]] = {
    "arrived": "Every event that was taken, by any way in, and those that were made of one for its opt-out.",
    "waiting": "It is on its way: for its turn, an address, a next try.",
    "delivered": "Sailthru took it.",
    "dead": "It is kept whole, and can be sent again.",
    "ignored": "It is not meant for Sailthru, by what it is or by the settings. Nothing is kept of it.",
    "duplicates": "The same event came before, from an SDK that sent it twice, say.",
    "removed": "An operator discarded it, or its letter went because there were too many or it was too old.",
}
"""What each number of the flow counts."""


class Mood(StrEnum):
    """How it stands at a glance; shown as shape, word and colour."""

    GOOD = "good"
    SLOW = "slow"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence, and what to do about it. why: what was said of the cause, from outside; may be ''. since, next_try and
    clears_at: ISO times, '' where there is none."""

    mood: Mood
    title: str
    detail: str = ""
    why: str = ""
    since: str = ""
    next_try: str = ""
    clears_at: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One lane. prospect: whether it will be empty, and clears_at when (Unix seconds). measured: calls/s of the last
    45 seconds, None while that is not known, as is grows, the events/s by which what waits has grown; rate: calls/s that it
    aims at now, 0 behind a closed gate. most: of what waited in the plot; minutes: the same as (Unix seconds, how many),
    one a minute, the newest last."""

    lane: str
    title: str
    waiting: int
    oldest_s: float | None
    trying_again: int
    waiting_email: int
    least: bool
    rate: float
    limit: float
    measured: float | None
    grows: float | None
    prospect: Prospect
    clears_at: float | None
    points: str
    minutes: tuple[tuple[float, int], ...]
    most: int
    paused: bool
    verdicts: tuple[Verdict, ...]


def verdicts(account: Mapping[str, Any], signs: Signs) -> list[Verdict]:
    """What is to be said of an account, the worst first; never empty."""
    found = [
        *_ownership(account),
        *_silence(account, signs),
        *(_gate(gate) for gate in account["gates"]),
    ]
    found += _slowness(account) if not found else []
    order = list(Mood)
    found.sort(key=lambda one: -order.index(one.mood))
    return found or [Verdict(Mood.GOOD, "Delivering", _well(account))]


def cards(account: Mapping[str, Any], samples: Sequence[Sample]) -> list[Card]:
    """The lanes, in their order. samples: the account's newest, oldest first."""
    found = []
    for lane, one in account["lanes"].items():
        waited = [sample.waiting[lane] for sample in samples]
        clears_at = one["clears_at"]
        gates = [gate for gate in account["gates"] if gate["scope"] == lane]
        card = Card(
            lane=lane,
            title=TERMS[lane],
            waiting=one["backlog"],
            oldest_s=one["oldest_s"],
            trying_again=one["retrying"],
            waiting_email=one["waiting_email"],
            least=not one["complete"],
            rate=one["rate"],
            limit=one["limit"],
            measured=one["measured"],
            grows=_growth(samples, lane),
            prospect=Prospect(one["prospect"]),
            clears_at=datetime.fromisoformat(clears_at).timestamp() if clears_at else None,
            points=points(samples, lane),
            minutes=minutes(samples, lane),
            most=max(waited, default=0),
            paused=any(gate["reason"] == "paused" for gate in gates),
            verdicts=tuple(map(_gate, gates)),
        )
        found.append(card)
    return found


def points(samples: Sequence[Sample], lane: str) -> str:
    """The points of an SVG line of what waited, the newest sample at the right; '' when there are too few to draw one."""
    if len(samples) < 2:
        return ""
    most = max(1, *(one.waiting[lane] for one in samples))
    end, span = samples[-1].at_ms, EVERY_MS * PLOTTED
    places = (
        (
            PLOT_WIDTH - (end - one.at_ms) / span * PLOT_WIDTH,
            PLOT_HEIGHT - 1 - one.waiting[lane] / most * (PLOT_HEIGHT - 2),
        )
        for one in samples
        if end - one.at_ms <= span
    )
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def minutes(samples: Sequence[Sample], lane: str) -> tuple[tuple[float, int], ...]:
    """What the plot shows, for who cannot see it: when, and how many waited; a row a minute, and the newest."""
    step = 60_000 // EVERY_MS
    return tuple((one.at_ms / 1000, one.waiting[lane]) for one in samples[::-1][:PLOTTED:step])[
        ::-1
    ]


def _growth(samples: Sequence[Sample], lane: str) -> float | None:
    found = measure(samples, lane, samples[-1].at_ms) if samples else None
    return None if found is None else found.growth


def flow(counts: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """Where what arrived is: (name, word, how many). The first is the sum of the others."""
    arrived = counts["enqueued"] + counts["derived"]
    words = (
        ("waiting", "waiting"),
        ("delivered", "delivered"),
        ("dead", TERMS["dead letter"]),
        ("ignored", "not for Sailthru"),
        ("duplicates", "repeats"),
        ("removed", "discarded"),
    )
    return [("arrived", "arrived", arrived), *((key, word, counts[key]) for key, word in words)]


def _well(account: Mapping[str, Any]) -> str:
    counts = account["counts"]
    if not counts["enqueued"]:
        return "Nothing has arrived yet."
    if counts["dead"]:
        return "What waits is on its way. Some events could not be delivered: see Problems."
    return "Everything that arrived was delivered, is waiting its turn, or was meant to be ignored."


def _ownership(account: Mapping[str, Any]) -> Sequence[Verdict]:
    owner = account["ownership"]
    if not owner["foreign"]:
        return ()
    return (Verdict(Mood.STOPPED, f"Not delivering: {owner['why']}", f"To go on, {owner['fix']}."),)


def _silence(account: Mapping[str, Any], signs: Signs) -> Sequence[Verdict]:
    found = []
    silent = [TERMS[lane] for lane, seen in signs.workers.items() if not seen]
    if silent:
        title = (
            "No worker is running"
            if len(silent) == len(signs.workers)
            else (f"No worker delivers {', '.join(silent)}")
        )
        found.append(Verdict(Mood.STOPPED, title, "Events are kept. Start `sailpipe worker`."))
    if not signs.splitter:
        detail = "Events are kept, and wait to be sorted. Start `sailpipe splitter`."
        found.append(Verdict(Mood.STOPPED, "No splitter is running", detail))
    return found


def _gate(gate: Mapping[str, Any]) -> Verdict:
    mood, title, detail = _GATES.get(gate["reason"], (Mood.STOPPED, gate["reason"], ""))
    scope = gate["scope"]
    everything = "Everything" if gate["reason"] in {"paused", "brake"} else ""
    what = TERMS.get(scope, {"account": everything, "redis": ""}.get(scope, scope))
    return Verdict(
        mood,
        f"{what}: {title}" if what else title,
        detail,
        why=(gate["detail"] or "").rstrip("."),
        since=gate["since"] or "",
        next_try=gate["until"] or "",
    )


_GATES: Final[Mapping[str, tuple[Mood, str, str]]] = {
    "paused": (
        Mood.STOPPED,
        "paused by the operator",
        "What arrives is kept. Resume when you are ready.",
    ),
    "brake": (
        Mood.STOPPED,
        "stopped, because most events died",
        "See Problems, mend the cause, then resume.",
    ),
    "misconfigured": (Mood.STOPPED, "Sailthru refuses our credentials", "Run sailpipe doctor."),
    "circuit": (Mood.SLOW, "Sailthru is down", "It is tried again by itself; nothing is lost."),
    "throttled": (Mood.SLOW, "at Sailthru's limit", "It goes on by itself."),
    "memory_high": (
        Mood.SLOW,
        "Redis is nearly full: new events are refused",
        "What was accepted is delivered.",
    ),
    "redis_full": (Mood.STOPPED, "Redis is full: new events are refused", "Give it more memory."),
    "redis_read_only": (Mood.STOPPED, "Redis takes no writes", "Nothing is taken or delivered."),
    "redis_no_replicas": (Mood.STOPPED, "Redis takes no writes", "Nothing is taken or delivered."),
    "redis_disk": (Mood.STOPPED, "Redis takes no writes", "Nothing is taken or delivered."),
    "lane_full": (Mood.SLOW, "full: new events are refused", "What was accepted is delivered."),
}


def _slowness(account: Mapping[str, Any]) -> Sequence[Verdict]:
    late = [(lane, one) for lane, one in account["lanes"].items() if one["late_s"] > SLOW_S]
    return [
        Verdict(
            Mood.SLOW,
            f"{TERMS[lane]} are {_minutes(one['late_s'])} late",
            f"{one['backlog']:,} wait; up to {one['limit']:g} calls a second are allowed."
            + (" It will not clear like this." if one["prospect"] == Prospect.GROWS else ""),
            clears_at=one["clears_at"] or "",
        )
        for lane, one in late
    ]


def _minutes(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:.0f} h"
    return f"{max(1, round(seconds / 60))} min"
