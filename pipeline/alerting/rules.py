"""What a person should be told of, seen in one snapshot of the installation. No I/O.

docs/alerts.md has a row for each kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

from pipeline.counters import Count
from pipeline.lanes import SPECS, Lane
from pipeline.processes.records import ProcessRole
from pipeline.status.snapshot import AccountView, LaneView, Snapshot

Kind = Literal[
    "circuit",
    "misconfigured",
    "brake",
    "splitter_away",
    "lane_unserved",
    "backlog_old",
    "memory_high",
    "lane_full",
    "door_refusing",
    "letters_many",
    "dead_letters_trimmed",
    "order_ids_reused",
    "account_unknown",
    "account_foreign",
    "redis_away",
    "redis_full",
    "redis_read_only",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
GATE_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {"circuit": "circuit", "misconfigured": "misconfigured", "brake": "brake"}
)
"""Reasons of gates that need a person. Throttling is routine, and a pause is the operator's own."""
TICKETS: Final[frozenset[Kind]] = frozenset(
    {"door_refusing", "letters_many", "order_ids_reused", "account_unknown", "account_foreign"}
)
"""Kinds that can wait for the morning; all others wake a person."""
AWAY_MS: Final = 60_000
"""For so long no process has split, or served a lane, for which events wait."""
REFUSED_MANY: Final = 100
"""Refused requests within five minutes from which the door is said to refuse."""
REUSED_A_DAY: Final = 20
"""Orders delivered in a day with the id of another from which a person should look at the shop's order ids."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that needs a person: names, numbers and a time, never anything of an event.

    account: '' where it is the installation's. scope: a lane, an endpoint, a host, `raw`, `redis`, `dead` or `http`.
    since_ms: Unix milliseconds.
    """

    kind: Kind
    account: str
    scope: str
    detail: str
    since_ms: int

    @property
    def id(self) -> str:
        """The same for as long as it lasts, in every process."""
        return f"{self.kind}|{self.account}|{self.scope}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """From where on: late_s of a lane (ALERT_LATE), dead letters of an account (ALERT_LETTERS)."""

    late_s: float
    letters: int


def troubles(seen: Snapshot, refused: int, bounds: Bounds) -> Iterator[Trouble]:
    """All there is now. `refused`: requests that were refused within five minutes."""
    now, late_ms = seen.now_ms, bounds.late_s * 1000
    oldest = seen.raw_oldest_ms if seen.raw_oldest_ms is not None else now
    away_ms = _away_since(seen, ProcessRole.SPLITTER, oldest)
    if seen.raw and away_ms is not None:
        text = f"No splitter runs, and {seen.raw} events wait for one: start sailpipe splitter"
        yield Trouble("splitter_away", "", "raw", text, away_ms)
    elif now - oldest >= late_ms:
        text = f"The oldest of {seen.raw} events has waited {_minutes(now - oldest)} to be split"
        yield Trouble("backlog_old", "", "raw", text, oldest)
    if seen.verdict.memory is not None:
        text = f"{seen.verdict.memory}% of Redis' memory is in use, and new events are refused"
        yield Trouble("memory_high", "", "redis", text, now)
    if refused >= REFUSED_MANY:
        text = f"{refused} requests were refused in five minutes: sailpipe status has their codes"
        yield Trouble("door_refusing", "", "http", text, now)
    if seen.held:
        text = (
            f"{seen.held} events are of accounts that the splitter does not know: sailpipe status"
        )
        yield Trouble("account_unknown", "", "raw", text, now)
    for account, view in seen.accounts.items():
        for lane, waiting in seen.verdict.lanes.get(account, {}).items():
            text = f"{waiting} events wait in the lane, and new ones are refused (LANE_BOUND)"
            yield Trouble("lane_full", account, lane, text, now)
        yield from _of_account(account, view, seen, bounds)


def _away_since(seen: Snapshot, part: str, oldest_ms: int) -> int | None:
    """Since when no process is this part of an installation (Unix ms), if it has been so for AWAY_MS. Where none was ever
    seen, what waits for one says how long it has waited."""
    since = seen.fleet.missing_since(part)
    since = oldest_ms if since == 0 else since
    return since if since is not None and seen.now_ms - since >= AWAY_MS else None


def _of_account(
    account: str, view: AccountView, seen: Snapshot, bounds: Bounds
) -> Iterator[Trouble]:
    now = seen.now_ms
    for one in view.closures:
        if (kind := GATE_KINDS.get(one.reason)) is not None:
            yield Trouble(kind, account, one.scope, one.detail, one.since)
    letters, trimmed = view.counters.total(Count.DEAD), view.counters.total(Count.TRIMMED)
    if letters >= bounds.letters:
        text = f"There are {letters} dead letters (ALERT_LETTERS): sailpipe dead stats"
        yield Trouble("letters_many", account, "dead", text, now)
    if view.trimmed_lately:
        text = (
            f"There were more dead letters than DEAD_MAX, and some were removed: {trimmed} so far"
        )
        yield Trouble("dead_letters_trimmed", account, "dead", text, now)
    if view.reused >= REUSED_A_DAY:
        text = f"{view.reused} orders in a day had the id of another order with other lines, total or email"
        yield Trouble("order_ids_reused", account, Lane.PURCHASE, text, now)
    if view.is_foreign:
        if view.counters.total(Count.WAITING):
            text = "Its events belong to another target and are left alone: sailpipe status"
            yield Trouble("account_foreign", account, "account", text, now)
        return
    closed = {one.scope for one in view.closures}
    for lane, waiting in view.lanes.items():
        is_closed = not closed.isdisjoint(SPECS[lane].scopes)
        yield from _of_lane(account, lane, waiting, seen, None if is_closed else bounds.late_s)


def _of_lane(
    account: str, lane: Lane, waiting: LaneView, seen: Snapshot, late_s: float | None
) -> Iterator[Trouble]:
    """`late_s` is None behind a closed gate: what that holds up is late for a reason that is known."""
    if not waiting.backlog:
        return
    now = seen.now_ms
    late_ms = 0 if waiting.late_ms is None else now - waiting.late_ms
    away_ms = _away_since(seen, lane, now if waiting.oldest_ms is None else waiting.oldest_ms)
    if away_ms is not None:
        text = (
            f"No worker serves the lane, and {waiting.backlog} events wait: start sailpipe worker"
        )
        yield Trouble("lane_unserved", account, lane, text, away_ms)
    elif late_s is not None and late_ms >= late_s * 1000:
        text = (
            f"The lane is {_minutes(late_ms)} late; {waiting.backlog} events wait: sailpipe status"
        )
        yield Trouble("backlog_old", account, lane, text, now - late_ms)


def _minutes(ms: int) -> str:
    return f"{ms // 60_000} min"
