"""Turns a snapshot into Prometheus' text. Numbers come from Redis, so that one scrape shows all processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import redis.asyncio
import redis.exceptions
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from pipeline.counters import OUTCOME_COUNTS, Count
from pipeline.deadletters.jobs import ENDED, JobState
from pipeline.lanes import Lane
from pipeline.metrics import names
from pipeline.metrics.names import METRICS, Metric
from pipeline.processes.records import ProcessRole
from pipeline.settings import Settings
from pipeline.status.fleet import Fleet
from pipeline.status.snapshot import AccountView, LaneView, Snapshot, read_snapshot

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
Row = tuple[Metric, tuple[str, ...], float]
_MINUTE_S = 60
_STATES: Final = tuple(state for state in JobState if state not in ENDED)
PLAIN: Final[Mapping[Count, Metric]] = {
    Count.DELIVERED: names.DELIVERED,
    Count.DERIVED: names.DERIVED,
    Count.DUPLICATES: names.DUPLICATES,
    Count.REMOVED: names.REMOVED,
    Count.ORDER_ID_REUSED: names.ORDERS_REUSED,
    Count.FOLDED: names.FOLDED,
    Count.RETRIED: names.RETRIED,
    Count.UNCHECKED_USERS: names.UNCHECKED,
}
BY_PART: Final[Mapping[Count, Metric]] = {
    Count.DEAD: names.DEAD,
    Count.IGNORED: names.IGNORED,
    Count.TRIMMED: names.TRIMMED,
    Count.NOTES: names.NOTES,
    Count.SHARED_IDS: names.SHARED,
}


async def metrics_text(client: redis.asyncio.Redis, settings: Settings) -> bytes:
    """The metrics as Prometheus reads them; of a Redis that does not answer, only that."""
    try:
        families = list(families_of(await read_snapshot(client, settings)))
    except redis.exceptions.RedisError:
        families = [_family(names.UP, [((), 0.0)])]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Read(families))
    return generate_latest(registry)


class _Read(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def families_of(snapshot: Snapshot) -> Iterator[Family]:
    """Rows put together by metric, in the order of names.py; and the histograms."""
    found: dict[Metric, list[tuple[tuple[str, ...], float]]] = {}
    for metric, labels, value in rows_of(snapshot):
        found.setdefault(metric, []).append((labels, value))
    for metric in METRICS:
        if metric.kind == "histogram":
            yield _histograms(metric, snapshot)
        elif metric in found:
            yield _family(metric, found[metric])


def rows_of(snapshot: Snapshot) -> Iterator[Row]:
    """Every number but those of histograms."""
    now_ms = snapshot.now_ms
    yield names.UP, (), 1.0
    yield names.RAW, (), snapshot.raw
    yield names.RAW_AGE, (), _age_s(snapshot.raw_oldest_ms, now_ms)
    yield names.HELD, (), snapshot.held
    yield from _fleet_rows(snapshot.fleet)
    yield names.MEMORY, (), snapshot.memory
    yield names.MEMORY_MAX, (), snapshot.memory_max
    yield names.ALERTS_FAILED, (), snapshot.alerts_failed
    for code, count in snapshot.refusals.items():
        yield names.REFUSED, (code,), count
    for account, view in snapshot.accounts.items():
        full = snapshot.verdict.lanes.get(account, {})
        yield names.REFUSING, (account, "memory"), float(snapshot.verdict.memory is not None)
        yield names.REFUSING, (account, "lane"), float(bool(full))
        yield from _account_rows(account, view)
        for lane, one in view.lanes.items():
            yield from _lane_rows((account, lane.value), one, now_ms)


def _fleet_rows(fleet: Fleet) -> Iterator[Row]:
    for role in ProcessRole:
        yield names.PROCESSES, (role.value,), len(fleet.of(role))
    workers = fleet.of(ProcessRole.WORKER)
    for lane in Lane:
        serving = [one for one in workers if lane in one.process.lanes]
        yield names.LANE_WORKERS, (lane.value,), len(serving)
    yield names.VERSIONS, (), len(fleet.versions)
    yield names.SPLITTER, (), float(any(one.lease for one in fleet.of(ProcessRole.SPLITTER)))


def _account_rows(account: str, view: AccountView) -> Iterator[Row]:
    counters = view.counters
    outcomes = sum(counters.total(count) for count in OUTCOME_COUNTS)
    yield names.SPLIT, (account,), outcomes - counters.total(Count.DERIVED)
    yield names.FOREIGN, (account,), float(view.is_foreign)
    for count, metric in PLAIN.items():
        yield metric, (account,), counters.total(count)
    for count, metric in BY_PART.items():
        for part, number in counters.by_part(count).items():
            yield metric, (account, part), number
    for part, number in counters.by_part(Count.CAME_IN).items():
        yield names.CAME_IN, (account, *part.split(":")), number
    for state in _STATES:
        yield names.JOBS, (account, state.value), sum(one.state is state for one in view.jobs)
    yield names.JOB_LETTERS, (account,), sum(one.left for one in view.jobs)
    for usage in view.usage:
        yield names.USED, (account, usage.bucket), usage.used
        yield names.LIMIT, (account, usage.bucket), usage.limit * _MINUTE_S
    for closure in view.closures:
        yield names.GATES, (account, closure.scope, closure.reason), 1.0


def _lane_rows(labels: tuple[str, str], lane: LaneView, now_ms: int) -> Iterator[Row]:
    yield names.BACKLOG, labels, lane.backlog
    yield names.OLDEST, labels, _age_s(lane.oldest_ms, now_ms)
    yield names.LATE, labels, _age_s(lane.late_ms, now_ms)
    for cause, number in _causes(lane).items():
        yield names.WAITING, (*labels, cause), number


def _causes(lane: LaneView) -> dict[str, float]:
    """Mailboxes by cause. Of those that wait, a sample was looked at: what it shows stands for all of them."""
    scale = max(1.0, lane.later / lane.sampled) if lane.sampled else 1.0
    retrying = min(lane.later, round(lane.retrying * scale))
    email = min(lane.later - retrying, round(lane.waiting_email * scale))
    rest = lane.later - retrying - email
    return {
        "due": lane.due,
        "in_hand": lane.in_hand,
        "retrying": retrying,
        "email": email,
        "other": rest,
    }


def _age_s(since_ms: int | None, now_ms: int) -> float:
    return 0.0 if since_ms is None else max(0, now_ms - since_ms) / 1000


def _family(metric: Metric, rows: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in rows:
        family.add_metric(labels, value)
    return family


def _histograms(metric: Metric, snapshot: Snapshot) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for account, view in snapshot.accounts.items():
        for (endpoint, result), one in view.calls.items():
            family.add_metric((account, endpoint, result), one.cumulative(), one.sum_s)
    return family
