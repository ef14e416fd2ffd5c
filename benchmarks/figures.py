"""What a row of the suite is, and the arithmetic over its rounds. No I/O.

A row has *sides*: programs that do the same work, ours and those it is compared with. A *round* runs every side
once, one after the other, so that the neighbours' load falls on all of them; a ratio is taken inside a round, and
the median over rounds is what counts. Lowest and highest are shown beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Figures: TypeAlias = Mapping[str, float]
"""What one side measured in one round, by name."""
Round: TypeAlias = Mapping[str, Figures]
"""What each side measured."""


class NotThere(Exception):
    """The program that a row runs is not part of this checkout."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure or ratio should keep to."""

    relation: Literal["at most", "at least"]
    bound: float

    def is_met(self, value: float) -> bool:
        return value <= self.bound if self.relation == "at most" else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.relation == 'at most' else '≥'} {number(self.bound)}"


def at_most(bound: float) -> Goal:
    return Goal("at most", bound)


def at_least(bound: float) -> Goal:
    return Goal("at least", bound)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table.

    figure, over: `SIDE.NAME`. With `over` the line is the ratio of the two, else the figure itself.
    """

    title: str
    figure: str
    over: str | None = None
    goal: Goal | None = None
    unit: str = "x"

    def of(self, one: Round) -> float:
        """The value of one round.

        Raises:
            KeyError: a side did not measure this figure.
        """
        value = _figure(one, self.figure)
        if self.over is None:
            return value
        other = _figure(one, self.over)
        return value / other if other else float("inf")


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some rounds, and how far they lie apart."""

    median: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Distance of lowest and highest as a share of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """A check over all rounds."""

    check: Check
    spread: Spread

    @property
    def is_met(self) -> bool | None:
        """Whether the median keeps to the goal; None without one."""
        goal = self.check.goal
        return None if goal is None else goal.is_met(self.spread.median)


@dataclass(slots=True)
class Bench:
    """What a side is given.

    sizes: sizes chosen on the command line, by name. scale: what the others are multiplied by.
    handed_on: what one side of a round leaves to the next. series: what is plotted, kept of the last round.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    scale: float = 1.0
    handed_on: dict[str, Any] = field(default_factory=dict)
    series: dict[str, Any] = field(default_factory=dict)
    say: Callable[[str], None] = print

    def size(self, name: str, usual: int) -> int:
        return self.sizes.get(name) or max(1, int(usual * self.scale))


Side: TypeAlias = Callable[[Bench], Figures]


@dataclass(frozen=True, slots=True)
class Row:
    """What is measured, of whom, and what it should come to. `rounds` unless the command line says otherwise."""

    name: str
    title: str
    sides: Mapping[str, Side]
    checks: Sequence[Check]
    rounds: int = 3


def spread(values: Iterable[float]) -> Spread:
    """Raises statistics.StatisticsError without a value."""
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1])


def results(checks: Iterable[Check], rounds: Sequence[Round]) -> list[Result]:
    """Every check over these rounds, ratios round by round."""
    return [Result(check, spread(check.of(one) for one in rounds)) for check in checks]


def middle(rounds: Sequence[Round]) -> dict[str, dict[str, Spread]]:
    """Each side's figures over these rounds."""
    return {
        side: {name: spread(one[side][name] for one in rounds) for name in figures}
        for side, figures in rounds[0].items()
    }


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that `share` of sorted values do not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def largest_window(times: Sequence[int], width: int) -> int:
    """The most of these sorted times that fit into any half-open window of `width`."""
    largest = first = 0
    for last, time in enumerate(times):
        while time - times[first] >= width:
            first += 1
        largest = max(largest, last - first + 1)
    return largest


def by_second(times: Sequence[int], start: int) -> list[int]:
    """How many of these sorted nanosecond times fall into each second from `start` on."""
    if not times:
        return []
    counts = [0] * ((times[-1] - start) // 10**9 + 1)
    for time in times:
        counts[(time - start) // 10**9] += 1
    return counts


def mean_rate(times: Iterable[int], begin: int, end: int) -> float:
    """Calls a second from begin to end (ns), a pause at either edge counted."""
    inside = sum(1 for time in times if begin <= time < end)
    return inside * 1e9 / (end - begin) if end > begin else 0.0


def number(value: float) -> str:
    """Three digits that mean something: 0.345, 3.45, 34.5, 345, 3,450."""
    if value == 0 or abs(value) == float("inf"):
        return f"{value:g}"
    size = abs(value)
    digits = 3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _figure(one: Round, name: str) -> float:
    side, _, figure = name.partition(".")
    return one[side][figure]
