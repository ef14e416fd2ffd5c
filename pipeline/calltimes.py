"""How long calls to Sailthru take, and how they end: a histogram by endpoint, counted here and added up in Redis. No I/O.

A call itself only leaves its answer in a list. A process counts those once a second, and writes them in one round trip.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.lanes import KNOWN_BUCKETS

BOUNDS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds (s). What takes longer is counted as `inf`."""
RESULTS = ("ok", "throttled", "unavailable", "misconfigured", "user_not_found", "rejected")
"""How a call ends: `ok`, or the value of a pipeline.sailthru.answers.Failure."""
OTHER = "other"
"""In the place of an endpoint that sailpipe does not call by itself, so that there are few."""
_ENDPOINTS = frozenset(KNOWN_BUCKETS)
_LABELS = (*(str(bound) for bound in BOUNDS_S), "inf")
_SUM = "sum"


class CallTimes:
    """One account's calls in one process since they were last written."""

    def __init__(self) -> None:
        self._counted = Counter[tuple[str, str, str]]()

    def add(self, bucket: str, result: str, seconds: float) -> None:
        """Count a call that has ended."""
        endpoint = bucket if bucket in _ENDPOINTS else OTHER
        self._counted[endpoint, result, _LABELS[bisect_left(BOUNDS_S, seconds)]] += 1
        self._counted[endpoint, result, _SUM] += round(seconds * 1000)

    def take(self) -> dict[str, int]:
        """What was counted, as fields of the hash in Redis and what to add to each; nothing is left here."""
        counted, self._counted = self._counted, Counter()
        return {"|".join(name): by for name, by in counted.items()}

    def put_back(self, taken: Mapping[str, int]) -> None:
        """Redis did not take it."""
        for name, by in taken.items():
            endpoint, result, what = name.split("|")
            self._counted[endpoint, result, what] += by


@dataclass(frozen=True, slots=True)
class Histogram:
    """Calls of one endpoint that ended alike. counts: by bound, each without those below it; `sum_s` of all (s)."""

    counts: tuple[int, ...]
    sum_s: float

    def cumulative(self) -> list[tuple[str, float]]:
        """(`le`, calls that took no longer), as Prometheus wants them."""
        seen, rows = 0, []
        for label, count in zip((*_LABELS[:-1], "+Inf"), self.counts, strict=True):
            seen += count
            rows.append((label, float(seen)))
        return rows


def read_histograms(table: Mapping[bytes, bytes]) -> dict[tuple[str, str], Histogram]:
    """(endpoint, result) -> its histogram, from the hash in Redis. Fields of another version's bounds are left out."""
    found: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for name, value in sorted(table.items()):
        endpoint, result, what = name.decode().split("|")
        found[endpoint, result][what] = int(value)
    return {
        name: Histogram(tuple(one.get(label, 0) for label in _LABELS), one.get(_SUM, 0) / 1000)
        for name, one in found.items()
    }
