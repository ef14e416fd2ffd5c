"""The first line of `status` says whether it delivers, who works on it, and what is missing since when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.checks.check import Verdict
from pipeline.checks.processes import judge
from pipeline.events.models import Lane
from pipeline.processes.records import HeadersSeen, Process, ProcessRole
from pipeline.status.fleet import Alive, Fleet
from pipeline.status.headline import headline, needs_person

NOW = 1_700_000_000_000
WELL: dict[str, Any] = {
    "gates": [],
    "ownership": {"foreign": False, "why": None, "fix": None},
    "lanes": {str(lane): {"rate": 39.2} for lane in Lane},
}
STATUS: dict[str, Any] = {
    "accounts": {"default": WELL},
    "removed_accounts": [],
    "unknown_accounts": [],
    "unfinished_erasures": [],
}


def alive(
    role: str, host: str = "a", *lanes: str, lease: bool = False, version: str = "1.0"
) -> Alive:
    process = Process(ProcessRole(role), NOW, lanes, host=host, version=version)
    return Alive(process, 1.0, lease)


def fleet(*processes: Alive, **seen_s: int) -> Fleet:
    """seen_s: how many seconds ago something was seen."""
    return Fleet(NOW, processes, {part: NOW - s * 1000 for part, s in seen_s.items()})


ALL = tuple(map(str, Lane))
SPLITTER = alive("splitter", "a", lease=True)
WHOLE = (
    alive("worker", "a", *ALL),
    alive("worker", "b", *ALL),
    alive("worker", "b", "user"),
    SPLITTER,
    alive("http"),
)
GATE = {"scope": "purchase", "reason": "brake", "until": None, "since": None, "detail": ""}
BRAKED = WELL | {"gates": [GATE], "lanes": WELL["lanes"] | {"purchase": {"rate": 0.0}}}


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (fleet(*WHOLE), "Delivering; 3 workers on 2 hosts, splitter on a, HTTP 1"),
        (
            fleet(alive("worker", "a", *ALL), SPLITTER, alive("splitter", "b")),
            "Delivering; 1 worker on a, splitter on a (1 stands by), HTTP 0",
        ),
        (
            fleet(alive("worker", "a", *ALL), SPLITTER, http=23),
            "Delivering; 1 worker on a, splitter on a, no HTTP server since 23 s",
        ),
        (
            fleet(alive("worker", "a", "user", "event", "page"), SPLITTER, purchase=250),
            "NOBODY serves purchase since 4 min; 1 worker on a, splitter on a, HTTP 0",
        ),
        (
            fleet(SPLITTER, user=7300, event=7300, purchase=59),
            (
                "NOBODY serves page; NOBODY serves user, event since 2 h;"
                " NOBODY serves purchase since 59 s; 0 workers, splitter on a, HTTP 0"
            ),
        ),
        (
            fleet(alive("worker", "a", *ALL), splitter=90_000),
            "NO SPLITTER runs since 1 d; 1 worker on a, no splitter, HTTP 0",
        ),
        (
            fleet(user=600, http=60, sampled=1),
            "NOTHING runs since 1 min: no worker, no splitter, no HTTP",
        ),
        (fleet(), "NOTHING runs: no worker, no splitter, no HTTP"),
        (
            fleet(alive("worker", "a", *ALL, version="1.1"), SPLITTER),
            "Delivering; 1 worker on a, splitter on a, HTTP 0, versions 1.0, 1.1",
        ),
    ],
)
def test_the_headline(found: Fleet, says: str) -> None:
    assert headline(found, STATUS["accounts"]) == says


def test_a_lane_behind_a_gate_is_named() -> None:
    who = "3 workers on 2 hosts, splitter on a, HTTP 1"
    found = fleet(*WHOLE)
    why = "(stopped by the brake)"
    assert headline(found, {"default": BRAKED}) == f"Delivering all but purchase {why}; {who}"
    assert headline(found, {"shoes": BRAKED}) == f"Delivering all but shoes/purchase {why}; {who}"
    still = WELL | {"ownership": {"foreign": True}}
    assert headline(found, {"default": still}) == f"NOT delivering (another target's); {who}"
    two = {"default": still, "shoes": BRAKED}
    both = "(another target's, stopped by the brake)"
    says = f"Delivering all but account default, shoes/purchase {both}; {who}"
    assert headline(found, two) == says
    elsewhere = {"scope": "GET /user", "reason": "circuit", "until": 1, "since": 1, "detail": ""}
    more = BRAKED | {"gates": [GATE, elsewhere]}
    assert headline(found, {"default": more}) == f"Delivering all but purchase {why}; {who}"


def test_a_person_is_needed_for_what_does_not_end_by_itself() -> None:
    assert needs_person(fleet(*WHOLE), STATUS) == []
    braked = needs_person(fleet(*WHOLE), STATUS | {"accounts": {"default": BRAKED}})
    assert braked == ["purchase is closed (brake): sailpipe resume --lane purchase"]
    waits = WELL | {"gates": [GATE | {"reason": "circuit"}, GATE | {"reason": "throttled"}]}
    assert needs_person(fleet(*WHOLE), STATUS | {"accounts": {"default": waits}}) == []
    (silent,) = needs_person(fleet(alive("worker", "a", *ALL), splitter=250), STATUS)
    assert silent == "no splitter runs since 4 min: start `sailpipe splitter`"


def test_a_pause_says_by_whom_and_how_to_end_it() -> None:
    gate = GATE | {"scope": "account", "reason": "paused", "detail": "by ann: a bad release"}
    paused = WELL | {"gates": [gate], "lanes": {str(lane): {"rate": 0.0} for lane in Lane}}
    accounts = {"shoes": paused}
    assert headline(fleet(*WHOLE), accounts).startswith("NOT delivering (paused); ")
    assert needs_person(fleet(*WHOLE), STATUS | {"accounts": accounts}) == [
        "shoes/account is closed (paused, by ann: a bad release): sailpipe resume --account shoes"
    ]


def test_a_redis_without_writes_is_all_that_is_said() -> None:
    """No process can say that it lives, so who seems to be away says nothing."""
    detail = "it is a replica, which takes no writes: point SAILPIPE_REDIS_URL at the master"
    gate = GATE | {"scope": "redis", "reason": "redis_read_only", "detail": detail}
    accounts = {"default": WELL | {"gates": [gate]}}
    said = detail.removeprefix("it ")
    assert headline(fleet(splitter=60), accounts) == f"REDIS {said}"
    assert needs_person(fleet(), STATUS | {"accounts": accounts}) == [f"Redis {said}"]


def test_a_person_is_needed_for_events_that_no_process_will_take() -> None:
    away = {"account": "old", "waiting": 3, "dead": 1, "fix": "put it back"}
    unknown = {"account": "new", "held": 2, "why": "account new is unknown", "fix": "add it"}
    found = STATUS | {
        "removed_accounts": [away, away | {"waiting": 0}],
        "unknown_accounts": [unknown],
        "unfinished_erasures": [{"account": "default", "people": 1, "why": "1 is", "fix": "again"}],
    }
    assert needs_person(fleet(*WHOLE), found) == [
        "account old is not in the settings, and its events wait: put it back",
        "account new is unknown: add it",
        "1 is: again",
    ]


def test_of_what_workers_saw_in_headers_the_newest_counts() -> None:
    """The later minute, and within it the fewer calls left; none of a minute that is over."""

    def saw(ends_s: int, remaining: int, account: str = "default") -> Alive:
        seen = HeadersSeen(account, "POST /event", 2400, remaining, NOW / 1000 + ends_s, 1.5)
        return replace(WHOLE[0], process=replace(WHOLE[0].process, headers=(seen,)))

    workers = (saw(10, 5), saw(30, 900), saw(30, 800), saw(30, 1, "shoes"), saw(-1, 0))
    found = fleet(*workers).headers("default", "POST /event")
    assert found is not None
    assert (found.remaining, found.others) == (800, 1.5)
    assert fleet(saw(0, 5)).headers("default", "POST /event") is None


def test_doctor_fails_when_a_lane_is_served_by_no_worker() -> None:
    (well,) = judge(fleet(*WHOLE))
    assert well.verdict is Verdict.OK
    checks = list(judge(fleet(alive("worker", "a", "user", version="0.9"), SPLITTER)))
    assert [one.verdict for one in checks] == [Verdict.FAIL, Verdict.WARN]
    assert "event, purchase, page" in checks[0].found
    assert all(one.fix for one in checks)
