"""The first line of `status`: does it deliver, and who works on it; and what a person must do. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pipeline.lanes import SPECS, Lane
from pipeline.processes.records import ProcessRole
from pipeline.settings import DEFAULT_ACCOUNT
from pipeline.status.fleet import Alive, Fleet, Missing

ENDED_BY_PEOPLE: Final = frozenset(
    {"paused", "brake", "misconfigured", "memory_high", "lane_full", "redis_full"}
)
"""Reasons of gates that do not end by themselves, or not soon. An outage (`circuit`) and a limit (`throttled`) do."""
_TAKES_WRITES: Final = frozenset({"redis_full", "memory_high"})
"""Reasons why Redis refuses events, but lets processes deliver and say that they live."""
_CAUSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "paused": "paused",
        "brake": "stopped by the brake",
        "circuit": "Sailthru does not answer",
        "misconfigured": "Sailthru refuses the account",
        "throttled": "at Sailthru's limit",
    }
)
_START = {"splitter": "start `sailpipe splitter`"}


def headline(fleet: Fleet, accounts: Mapping[str, Any]) -> str:
    """`Delivering; 3 workers on 2 hosts, splitter on a, HTTP 1`, or what is the matter. accounts: as `status --json`
    has them."""
    unwritable = _unwritable(accounts)
    if unwritable:
        return f"REDIS {unwritable}"
    if not fleet.alive:
        return (
            f"NOTHING runs{_since(_newest(fleet), fleet.now_ms)}: no worker, no splitter, no HTTP"
        )
    missing = describe_missing(fleet)
    if missing:
        return f"{'; '.join(missing)}; {_who(fleet)}"
    return f"{_moves(accounts)}; {_who(fleet)}"


def describe_missing(fleet: Fleet, called: Callable[[str], str] = str) -> list[str]:
    """A clause for the lanes that no worker serves, by how long, and one for the splitter. called: how a lane is named."""
    clauses = []
    lanes = [one for one in fleet.missing if one.part != ProcessRole.SPLITTER]
    for since in sorted({_since(one.since_ms, fleet.now_ms) for one in lanes}):
        names = [called(one.part) for one in lanes if _since(one.since_ms, fleet.now_ms) == since]
        clauses.append(f"NOBODY serves {', '.join(names)}{since}")
    clauses += [
        f"NO SPLITTER runs{_since(one.since_ms, fleet.now_ms)}"
        for one in fleet.missing
        if one.part == ProcessRole.SPLITTER
    ]
    return clauses


def needs_person(fleet: Fleet, found: Mapping[str, Any]) -> list[str]:
    """What will not end by itself, each with what to do; nothing when all is well. found: as `status --json` has it."""
    unwritable = _unwritable(found["accounts"])
    if unwritable:  # no process can say that it lives, so nothing more is known
        return [f"Redis {unwritable}"]
    needs = [f"{_what(one, fleet)}: {_way(one)}" for one in fleet.missing]
    for name, account in found["accounts"].items():
        if account["ownership"]["foreign"]:
            needs.append(f"{account['ownership']['why']}: {account['ownership']['fix']}")
        needs += [
            _closed(name, gate) for gate in account["gates"] if gate["reason"] in ENDED_BY_PEOPLE
        ]
    needs += [
        f"account {one['account']} is not in the settings, and its events wait: {one['fix']}"
        for one in found["removed_accounts"]
        if one["waiting"]
    ]
    told = *found["unknown_accounts"], *found["unfinished_erasures"]
    needs += [f"{one['why']}: {one['fix']}" for one in told]
    return needs


def _closed(account: str, gate: Mapping[str, Any]) -> str:
    """Which gate is closed, why, by whom, and what opens it."""
    scope, detail = gate["scope"], f", {gate['detail']}" if gate["detail"] else ""
    way = "sailpipe doctor"
    if gate["reason"] in {"paused", "brake"}:
        lane = f" --lane {scope}" if scope != "account" else ""
        other = f" --account {account}" if account != DEFAULT_ACCOUNT else ""
        way = f"sailpipe resume{lane}{other}"
    return f"{_scope(account, scope)} is closed ({gate['reason']}{detail}): {way}"


def _unwritable(accounts: Mapping[str, Any]) -> str:
    """Why Redis takes no writes, and what to do; '' while it takes some."""
    details = (
        str(gate["detail"]).removeprefix("it ")
        for account in accounts.values()
        for gate in account["gates"]
        if gate["scope"] == "redis" and gate["reason"] not in _TAKES_WRITES
    )
    return next(details, "")


def _moves(accounts: Mapping[str, Any]) -> str:
    lanes = [
        (name, lane)
        for name, account in accounts.items()
        for lane, one in account["lanes"].items()
        if one["rate"] <= 0 or account["ownership"]["foreign"]
    ]
    if not lanes:
        return "Delivering"
    causes = dict.fromkeys(one for lane in lanes for one in _causes(accounts[lane[0]], lane[1]))
    why = f" ({', '.join(causes)})" if causes else ""
    if len(lanes) == sum(len(account["lanes"]) for account in accounts.values()):
        return f"NOT delivering{why}"
    return f"Delivering all but {', '.join(_stopped(accounts, lanes))}{why}"


def _stopped(accounts: Mapping[str, Any], lanes: Sequence[tuple[str, str]]) -> Iterator[str]:
    """These lanes; an account of which none moves is named whole."""
    for name, account in accounts.items():
        own = [lane for lane in lanes if lane[0] == name]
        if len(own) == len(account["lanes"]):
            yield f"account {name}"
        else:
            yield from (_scope(*lane) for lane in own)


def _causes(account: Mapping[str, Any], lane: str) -> Iterator[str]:
    """Why this lane of an account stands still."""
    if account["ownership"]["foreign"]:
        yield "another target's"
    for gate in account["gates"]:
        if gate["reason"] in _CAUSES and gate["scope"] in SPECS[Lane(lane)].scopes:
            yield _CAUSES[gate["reason"]]


def _who(fleet: Fleet) -> str:
    workers = fleet.of(ProcessRole.WORKER)
    said = [f"{_count(len(workers), 'worker')}{_on_hosts(workers)}", _splitter(fleet)]
    said.append(_http(fleet))
    if len(fleet.versions) > 1:
        said.append(f"versions {', '.join(fleet.versions)}")
    return ", ".join(said)


def _http(fleet: Fleet) -> str:
    """How many servers there are; since when there is none, where there was one."""
    servers, seen_ms = len(fleet.of(ProcessRole.HTTP)), fleet.last_seen.get(ProcessRole.HTTP.value)
    if servers or seen_ms is None:
        return f"HTTP {servers}"
    return f"no HTTP server{_since(seen_ms, fleet.now_ms)}"


def _splitter(fleet: Fleet) -> str:
    splitters = fleet.of(ProcessRole.SPLITTER)
    if not splitters:
        return "no splitter"
    holders = [one.process.host for one in splitters if one.lease]
    others = len(splitters) - len(holders)
    stand_by = (
        f" ({others} stands by)" if others == 1 else f" ({others} stand by)" if others else ""
    )
    return f"splitter on {holders[0]}{stand_by}" if holders else f"splitter{stand_by}"


def _on_hosts(workers: Sequence[Alive]) -> str:
    hosts = sorted({one.process.host for one in workers})
    if not hosts:
        return ""
    return f" on {hosts[0]}" if len(hosts) == 1 else f" on {len(hosts)} hosts"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _what(one: Missing, fleet: Fleet) -> str:
    since = _since(one.since_ms, fleet.now_ms)
    if one.part == ProcessRole.SPLITTER:
        return f"no splitter runs{since}"
    return f"no worker serves {one.part}{since}"


def _way(one: Missing) -> str:
    return _START.get(one.part, f"start `sailpipe worker --lanes {one.part}`")


def _scope(account: str, scope: str) -> str:
    return scope if account == DEFAULT_ACCOUNT else f"{account}/{scope}"


def _newest(fleet: Fleet) -> int | None:
    return max((at for part, at in fleet.last_seen.items() if part != "sampled"), default=None)


def _since(since_ms: int | None, now_ms: int) -> str:
    """` since 4 min`; '' if nothing was ever seen."""
    if since_ms is None:
        return ""
    seconds = max(0, now_ms - since_ms) // 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f" since {seconds // size} {unit}"
    return f" since {seconds} s"
