"""`sailpipe status`: how everything stands, once or again and again."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Annotated, Any

import typer

from pipeline.cli.completion import accounts
from pipeline.cli.errors import FAILED
from pipeline.cli.options import JsonOption
from pipeline.cli.output import json_result, note, result
from pipeline.cli.session import Session, in_session
from pipeline.cli.tables import age, printable, show_counts, show_table
from pipeline.errors import SailpipeError

_ENDED_BY_PEOPLE = ("paused", "brake")
"""Reasons that an operator may end; the others end by themselves when their cause is over."""
_TRIED = ("circuit", "misconfigured")
"""Reasons that end when a call is answered; one is made each time their time is up."""
_REASONS = {
    "redis_full": "full",
    "redis_read_only": "without writes",
    "redis_no_replicas": "without writes",
    "redis_disk": "without writes",
    "throttled": "throttled by Sailthru",
    "circuit": "stopped by an outage",
    "brake": "stopped by the brake",
    "memory_high": "above MEMORY_HIGH",
    "lane_full": "at its LANE_BOUND",
}
_SHARED_BY = {
    "SHARED_IDS": "one of SHARED_IDS",
    "EMAILS_A_DAY": "too many emails in a day",
}
_PATHS_SHOWN = 5
_LANE_COLUMNS = (
    *("lane", "backlog", "oldest", "retrying", "no email", "other"),
    *("calls/s", "aims at", "limit", "empty"),
)
_PROCESS_COLUMNS = ("process", "host", "pid", "does", "version", "since", "seen")
WATCH_S = 2.0
"""Seconds between two looks of `--watch`."""


def status(
    account: Annotated[
        str | None, typer.Option(help="Only this account.", autocompletion=accounts)
    ] = None,
    as_json: JsonOption = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Say what needs a person, and end with 1 if anything does."),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")
    ] = False,
) -> None:
    """Show processes, lanes, gates, counts and dead letters."""
    found = _read(account)
    _show(found, as_json=as_json, check=check)
    while watch:
        try:
            time.sleep(WATCH_S)
            found = _read(account)
        except SailpipeError as error:  # Redis is away: it may come back
            note(str(error))
            continue
        except KeyboardInterrupt:
            break
        if sys.stdout.isatty():
            from rich.console import Console  # noqa: PLC0415 - slow to import, and only for people

            Console().clear()
        _show(found, as_json=as_json, check=check)
    if check and found["needs_person"]:
        raise typer.Exit(FAILED)


def _read(account: str | None) -> dict[str, Any]:
    async def work(session: Session) -> dict[str, Any]:
        from pipeline.status.report import read_status  # noqa: PLC0415 - only this command

        only = None if account is None else [account]
        return await read_status(session.redis, session.settings, session.redis_url, only=only)

    return in_session(account, work)


def _show(found: dict[str, Any], *, as_json: bool, check: bool) -> None:
    if as_json:
        json_result(found)
    elif check:
        result(found["headline"])
        for one in found["needs_person"]:
            result(f"A person is needed: {one}.")
    else:
        _show_all(found)
    sys.stdout.flush()


def _show_all(found: dict[str, Any]) -> None:
    result(found["headline"])
    for one in found["accounts"].values():
        _show_foreign(one)
    for one in found["removed_accounts"]:
        _show_removed(one)
    for one in found["unknown_accounts"]:
        result(f"Not delivered: {one['why']}.")
        result(f"  To go on, {one['fix']}.")
    for one in found["unfinished_erasures"]:
        result(f"Not erased: {one['why']}.")
        result(f"  To end it, {one['fix']}.")
    result(f"Redis {found['redis_url']}, target {found['target']}")
    _show_raw(found["raw"])
    show_counts("Requests refused", found["refusals"].items())
    if found["refused_lately"]:
        result(f"  {found['refused_lately']} of them in the last five minutes")
    for name, one in found["accounts"].items():
        _show_account(name, one)
    for one in found["jobs"]:
        result(f"Replay {describe_job(one)}")
    if found["processes"]:
        result("")
        show_table(_PROCESS_COLUMNS, map(_process_row, found["processes"]))


def _show_raw(raw: dict[str, Any]) -> None:
    oldest = f", the oldest for {age(raw['oldest_s'])}" if raw["oldest_s"] is not None else ""
    result(f"Raw stream: {raw['backlog']} waiting to be split{oldest}")


def _process_row(process: dict[str, Any]) -> tuple[object, ...]:
    does = ", ".join(process["lanes"]) or process["address"]
    if process["role"] == "splitter":
        does = "splits" if process["lease"] else "stands by"
    since = process["since"][:16].replace("T", " ")
    return (
        *(process["role"], process["host"], process["pid"], does, process["version"]),
        *(f"{since} UTC", f"{age(process['seen_s'])} ago"),
    )


def describe_job(job: dict[str, Any]) -> str:
    """One line about a replay that has not ended."""
    ends = f", ends {job['ends_at']}" if job["ends_at"] else ""
    again = f", {job['died_again']} died again of the same" if job["died_again"] else ""
    what = f"{printable(job['what'])}: {job['through']} of {job['total']} letters through"
    return f"{job['id'][:8]} ({job['account']}) is {job['state']}, {what}{again}{ends}; sailpipe dead jobs"


def _show_foreign(account: dict[str, Any]) -> None:
    ownership = account["ownership"]
    if ownership["foreign"]:
        result(f"Not delivered: {ownership['why']}.")
        result(f"  To go on, {ownership['fix']}.")


def _show_removed(removed: dict[str, Any]) -> None:
    numbers = f"waiting events: {removed['waiting']}, dead letters: {removed['dead']}"
    result(f"Not delivered: account {removed['account']} is not in the settings ({numbers}).")
    result(f"  To go on, {removed['fix']}.")


def _show_account(name: str, account: dict[str, Any]) -> None:
    result("")
    counts = account["counts"].items()
    show_counts(f"Account {name}", ((what, n) for what, n in counts if n or what != "derived"))
    show_table(_LANE_COLUMNS, [_lane_row(*lane) for lane in account["lanes"].items()])
    for lane, one in account["lanes"].items():
        if one["headers"] and one["headers"]["others"]:
            result(f"{lane}: {describe_headers(one['headers'])}")
    if account["delivered_per_minute"] is not None:
        result(f"Delivered in a minute: {account['delivered_per_minute']}")
    for gate in account["gates"]:
        result(describe_gate(gate))
    show_counts("Dead", account["dead"].items())
    show_counts("Ignored", account["ignored"].items())
    show_ways_in(account["came_in"])
    if account["retried"]:
        result(f"Failed tries that were made again: {account['retried']}")
    if account["folded"]:
        folded, today = account["folded"], account["folded_today"]
        result(f"Delivered without a call of their own (folded): {folded}, today (UTC) {today}")
    if account["order_id_reused"]:
        result(f"Orders with the id of another: {account['order_id_reused']}")
    if account["unchecked_users"]:
        result(f"Requests whose user Sailthru was not asked about: {account['unchecked_users']}")
    show_counts("Trimmed, as there were more than DEAD_MAX", account["trimmed"].items())
    show_shared_ids(account["shared_ids"])
    show_notes(account["notes"])


def show_shared_ids(counts: dict[str, int]) -> None:
    """How many events had an id that many people share, by what makes it so."""
    shared = ((_SHARED_BY[cause], n) for cause, n in counts.items())
    show_counts("Events with an id that links nothing", shared)


def show_ways_in(counts: dict[str, int]) -> None:
    """How many events came by which way, whatever their types."""
    ways = Counter[str]()
    for part, n in counts.items():
        ways[part.partition(":")[0]] += n
    show_counts("Came in by", ways.items())


def show_notes(counts: dict[str, int]) -> None:
    """The fields that were left out most often, of events that were delivered."""
    most = sorted(counts.items(), key=lambda one: -one[1])
    rest = sum(n for _, n in most[_PATHS_SHOWN:])
    shown = [*most[:_PATHS_SHOWN], *([("others", rest)] if rest else ())]
    show_counts("Fields that events went out without (sailpipe map says why)", shown)


def _lane_row(name: str, lane: dict[str, Any]) -> tuple[object, ...]:
    least = "" if lane["complete"] else "+"
    return (
        name,
        lane["backlog"],
        age(lane["oldest_s"]),
        f"{lane['retrying']}{least}",
        f"{lane['waiting_email']}{least}",
        lane["waiting_other"],
        lane["measured"],
        lane["rate"],
        lane["limit"],
        describe_prospect(lane),
    )


def describe_headers(headers: dict[str, Any]) -> str:
    """How much others use of the account's limit, which Sailthru counts together."""
    return (
        f"other programs make {headers['others']:g} calls/s on this account; Sailthru leaves {headers['remaining']}"
        f" of {headers['limit']} calls until {headers['ends'][11:19]} UTC"
    )


def describe_prospect(lane: dict[str, Any]) -> str:
    """When a lane will be empty: `14:35 UTC`, `keeps up`, `will not clear`."""
    if lane["clears_at"]:
        day, _, clock = lane["clears_at"].partition("T")
        return f"{day} {clock[:5]} UTC"
    return str(lane["prospect"]).replace("_", " ")


def describe_gate(gate: dict[str, Any]) -> str:
    """One line about a closed gate, and how to open it if an operator may."""
    since = f" since {gate['since']}" if gate["since"] else ""
    word = "next try" if gate["reason"] in _TRIED else "until"
    until = f", {word} {gate['until']}" if gate["until"] else ""
    detail = f" ({gate['detail']})" if gate["detail"] else ""
    reason = _REASONS.get(gate["reason"], gate["reason"])
    return f"Closed: {gate['scope']} is {reason}{since}{until}{detail}{_way_out(gate)}"


def _way_out(gate: dict[str, Any]) -> str:
    if gate["reason"] == "misconfigured":
        return "; sailpipe doctor"
    if gate["reason"] not in _ENDED_BY_PEOPLE:
        return ""
    lane = f" --lane {gate['scope']}" if gate["scope"] != "account" else ""
    return f"; sailpipe resume{lane}"
