"""What a person is told of, and what not: one snapshot at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.alerting.rules import KINDS, Bounds, Trouble, troubles
from pipeline.counters import Counters
from pipeline.gates.gates import Closure
from pipeline.lanes import Lane
from pipeline.processes.records import Process, ProcessRole
from pipeline.status.fleet import Alive, Fleet
from pipeline.status.snapshot import AccountView, LaneView, Snapshot
from pipeline.storage.verdict import Verdict

NOW = 1_700_000_000_000
BOUNDS = Bounds(late_s=900.0, letters=1000)
WELL = LaneView(backlog=5, due=5, late_ms=NOW - 1_000, oldest_ms=NOW - 1_000)
ALL = frozenset({"splitter", *Lane})


def fleet(*parts: str, seen_ms: int | None = None) -> Fleet:
    """Processes that are these parts. seen_ms: when the others were seen last; None for never."""
    worker = Process(ProcessRole.WORKER, NOW, tuple(one for one in parts if one != "splitter"))
    splitters = [Process(ProcessRole.SPLITTER, NOW)] if "splitter" in parts else []
    alive = tuple(Alive(one, 1.0) for one in (worker, *splitters))
    return Fleet(NOW, alive, {} if seen_ms is None else dict.fromkeys(ALL, seen_ms))


def account(lane: LaneView = WELL, **fields: Any) -> AccountView:
    counts = fields.pop("counts", {"waiting:event": lane.backlog})
    return AccountView(Counters(counts), lanes={Lane.EVENT: lane}, **fields)


def seen(view: AccountView | None = None, **fields: Any) -> Snapshot:
    return Snapshot(
        NOW,
        fleet=fields.pop("fleet", fleet(*ALL)),
        accounts={"default": view or account()},
        **fields,
    )


def kinds(snapshot: Snapshot, refused: int = 0) -> list[tuple[str, str]]:
    return [(one.kind, one.scope) for one in troubles(snapshot, refused, BOUNDS)]


def closed(reason: Any, scope: str = "api") -> AccountView:
    return account(closures=(Closure(scope, reason, 0, NOW - 5, "why"),))


CASES: dict[str, tuple[Snapshot, int, list[tuple[str, str]]]] = {
    "all is well": (seen(), 99, []),
    "an outage": (seen(closed("circuit")), 0, [("circuit", "api")]),
    "wrong credentials": (seen(closed("misconfigured")), 0, [("misconfigured", "api")]),
    "the brake": (seen(closed("brake", "event")), 0, [("brake", "event")]),
    "a pause is the operator's own": (seen(closed("paused", "event")), 0, []),
    "throttling is routine": (seen(closed("throttled", "POST /event")), 0, []),
    "nobody splits": (
        seen(fleet=fleet(*Lane, seen_ms=NOW - 60_000), raw=3, raw_oldest_ms=NOW - 9_000),
        0,
        [("splitter_away", "raw")],
    ),
    "nobody ever split": (
        seen(fleet=fleet(*Lane), raw=3, raw_oldest_ms=NOW - 60_000),
        0,
        [("splitter_away", "raw")],
    ),
    "the first splitter is about to start": (
        seen(fleet=fleet(*Lane), raw=3, raw_oldest_ms=NOW - 59_000),
        0,
        [],
    ),
    "a splitter changes": (
        seen(fleet=fleet(*Lane, seen_ms=NOW - 59_000), raw=3, raw_oldest_ms=NOW - 70_000),
        0,
        [],
    ),
    "nobody splits, nothing waits for it": (seen(fleet=fleet(*Lane, seen_ms=1)), 0, []),
    "splitting falls behind": (
        seen(raw=3, raw_oldest_ms=NOW - 900_000),
        0,
        [("backlog_old", "raw")],
    ),
    "nobody serves a lane": (
        seen(fleet=fleet("splitter", "user", seen_ms=NOW - 60_000)),
        0,
        [("lane_unserved", "event")],
    ),
    "nobody ever served a lane": (
        seen(account(replace(WELL, oldest_ms=NOW - 60_000)), fleet=fleet("splitter")),
        0,
        [("lane_unserved", "event")],
    ),
    "nobody serves an empty lane": (
        seen(account(LaneView()), fleet=fleet("splitter", seen_ms=1)),
        0,
        [],
    ),
    "a worker is restarted": (seen(fleet=fleet("splitter", seen_ms=NOW - 59_000)), 0, []),
    "nobody serves a lane in which all wait for an email": (
        seen(account(LaneView(backlog=413, later=413)), fleet=fleet("splitter", seen_ms=1)),
        0,
        [("lane_unserved", "event")],
    ),
    "a lane is late": (
        seen(account(replace(WELL, late_ms=NOW - 900_000))),
        0,
        [("backlog_old", "event")],
    ),
    "events that wait for an email make no lane late": (
        seen(account(LaneView(backlog=413, later=413, oldest_ms=1))),
        0,
        [],
    ),
    "what a closed gate holds up is late for a known reason": (
        seen(
            account(
                replace(WELL, late_ms=NOW - 900_000),
                closures=(Closure("event", "paused", 0, NOW),),
            )
        ),
        0,
        [],
    ),
    "memory": (seen(verdict=Verdict(memory=81)), 0, [("memory_high", "redis")]),
    "a full lane": (
        seen(verdict=Verdict(lanes={"default": {"event": 9}})),
        0,
        [("lane_full", "event")],
    ),
    "the door refuses": (seen(), 100, [("door_refusing", "http")]),
    "many letters": (
        seen(account(counts={"dead:rejected": 600, "dead:too_old": 400})),
        0,
        [("letters_many", "dead")],
    ),
    "letters are lost": (
        seen(account(trimmed_lately=True)),
        0,
        [("dead_letters_trimmed", "dead")],
    ),
    "order ids that are none": (seen(account(reused=20)), 0, [("order_ids_reused", "purchase")]),
    "an unknown account": (seen(held=1), 0, [("account_unknown", "raw")]),
    "another target's account, which nobody here serves": (
        seen(account(is_foreign=True), fleet=fleet("splitter", seen_ms=1)),
        0,
        [("account_foreign", "account")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_person_is_told_of_what_needs_one(case: str) -> None:
    snapshot, refused, expected = CASES[case]
    assert kinds(snapshot, refused) == expected


def test_every_kind_has_a_case_but_those_that_each_process_says_itself() -> None:
    tried = {kind for _, _, expected in CASES.values() for kind, _ in expected}
    assert set(KINDS) - tried == {"redis_away", "redis_full", "redis_read_only"}


def test_a_trouble_keeps_its_id_while_its_numbers_change() -> None:
    """That is how it is told once."""
    one = Trouble("backlog_old", "default", "event", "16 min", NOW)
    assert one.id == replace(one, detail="17 min", since_ms=NOW + 1).id
    assert one.id != replace(one, account="shoes").id
