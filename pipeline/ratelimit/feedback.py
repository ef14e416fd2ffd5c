"""What Sailthru's rate headers say about everyone who uses the account, and what is left for us."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.sailthru.answers import RateHeaders

MINUTE_S = 60.0
_SAMPLE_S = 1.0
_SMOOTHING = 0.5
_MARGIN = 0.01
_LAST_MOMENT_S = 0.5


def believed_reset(reset: float, now: float) -> float:
    """When the minute that Sailthru counts in ends, both in Unix seconds: at Reset, but never later than in
    a minute. A Reset that is further away comes from another server (a proxy), is not in seconds, or is read
    by a clock that is slow. If it were believed, it would stop a lane for as long."""
    return min(reset, now + MINUTE_S)


@dataclass(frozen=True, slots=True)
class Left:
    """What the headers leave of the present minute, for people. limit, remaining: calls; ends: Unix seconds; others: calls/s
    of other programs on the same account, as estimated."""

    limit: int
    remaining: int
    ends: float
    others: float


@dataclass(slots=True)
class Headroom:
    """How fast the rest of the minute may be spent. `heard`: whether any header has come yet.

    Sailthru counts all keys of an account together. What it counted beyond our own slots was someone
    else, and they will go on: `remaining` divided by the time left, less their rate, is ours. Alone on
    the account that is always more than our pace, so the headers then change nothing.
    """

    heard: bool = field(default=False, init=False)
    _headers: RateHeaders | None = field(default=None, init=False)
    _sample: tuple[float, int, int] | None = field(default=None, init=False)
    _others: float = field(default=0.0, init=False)
    _in_flight: int = field(default=0, init=False)
    _observed_at: float = field(default=0.0, init=False)
    _ahead: float = field(default=0.0, init=False)
    _ends: float = field(default=0.0, init=False)

    @property
    def ends(self) -> float:
        """When the minute last heard of ends, Unix seconds by our own clock."""
        return self._ends

    def observe(self, headers: RateHeaders, *, now: float, ours: int, in_flight: int) -> None:
        """An answer came. `ours` is how many slots all our processes ever took of this bucket,
        `in_flight` how many of our calls Sailthru may not have counted yet, `now` Unix seconds."""
        if self._is_old(headers, now):
            return
        self._compare_clocks(headers.reset, now)
        used = headers.limit - headers.remaining
        if self._headers is None or headers.reset != self._headers.reset or self._sample is None:
            self._sample = (now, used, ours)
        elif now - self._sample[0] >= _SAMPLE_S:
            self._estimate_others(now, used, ours, in_flight)
        self.heard, self._headers, self._in_flight = True, headers, in_flight
        self._ends = believed_reset(headers.reset + self._ahead, now)

    def cap(self, *, now: float) -> float | None:
        """The calls/s the headers allow, or None when they say nothing. May be negative: stop."""
        if self._headers is None or now >= self._ends + MINUTE_S:
            return None
        margin = self._headers.limit * _MARGIN if self._others else 0.0
        if now >= self._ends:
            whole = (self._headers.limit - margin) / MINUTE_S - self._others
            return whole if self._others else None
        left = max(_LAST_MOMENT_S, self._ends - now)
        return (self._headers.remaining - self._in_flight - margin) / left - self._others

    def left(self, *, now: float) -> Left | None:
        """What is left of the minute; None when no header told of this one."""
        if self._headers is None or now >= self._ends:
            return None
        found = self._headers
        return Left(found.limit, found.remaining, self._ends, round(self._others, 2))

    def _compare_clocks(self, reset: float, now: float) -> None:
        """A minute that begins while answers flow shows how far our clock is ahead of Sailthru's."""
        last, self._observed_at = self._observed_at, now
        begun = self._headers is not None and reset > self._headers.reset
        if begun and now - last < _SAMPLE_S:
            self._ahead = now - (reset - MINUTE_S)

    def _is_old(self, headers: RateHeaders, now: float) -> bool:
        last = self._headers
        # No answer takes a minute: a Reset that seems to go back then was a wrong one.
        if last is None or headers.reset > last.reset or now - self._observed_at >= MINUTE_S:
            return False
        return headers.reset < last.reset or headers.remaining > last.remaining

    def _estimate_others(self, now: float, used: int, ours: int, in_flight: int) -> None:
        assert self._sample is not None  # noqa: S101 - the caller has looked
        then, used_then, ours_then = self._sample
        foreign = (used - used_then) - (ours - ours_then)
        rate = foreign / (now - then) if foreign > in_flight else 0.0
        self._others += _SMOOTHING * (rate - self._others)
        if self._others < MINUTE_S**-1:
            self._others = 0.0
        self._sample = (now, used, ours)
