"""`sailpipe status`: how everything stands, once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipeline.cli.options import JsonOption
from pipeline.cli.output import json_result, result
from pipeline.cli.session import Session, in_session
from pipeline.cli.tables import age, printable, show_counts, show_table

_ENDED_BY_PEOPLE = ("paused", "brake")
"""Reasons that an operator may end; the others end by themselves when their cause is over."""
_REASONS = {
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
_LANE_COLUMNS = ("lane", "backlog", "oldest", "retrying", "no email", "calls/s", "limit")


def status(
    account: Annotated[str | None, typer.Option(help="Only this account.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show lanes, gates, counts and dead letters."""

    async def work(session: Session) -> dict[str, Any]:
        from pipeline.status.report import read_status  # noqa: PLC0415 - only this command

        only = None if account is None else [account]
        return await read_status(session.redis, session.settings, session.redis_url, only=only)

    found = in_session(account, work)
    if as_json:
        json_result(found)
        return
    result(f"Redis {found['redis_url']}, target {found['target']}")
    for one in found["accounts"].values():
        _show_foreign(one)
    for one in found["removed_accounts"]:
        _show_removed(one)
    for one in found["unknown_accounts"]:
        result(f"Not delivered: {one['why']}.")
        result(f"  To go on, {one['fix']}.")
    result(f"Raw stream: {found['raw']['backlog']} waiting to be split")
    show_counts("Requests refused", found["refusals"].items())
    for name, one in found["accounts"].items():
        _show_account(name, one)
    for one in found["jobs"]:
        result(f"Replay {describe_job(one)}")


def describe_job(job: dict[str, Any]) -> str:
    """One line about a replay that has not ended."""
    ends = f", ends {job['ends_at']}" if job["ends_at"] else ""
    again = f", {job['died_again']} died again of the same" if job["died_again"] else ""
    through = job["sent"] + job["gone"]
    what = f"{printable(job['what'])}: {through} of {job['total']} letters through"
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
    for gate in account["gates"]:
        result(describe_gate(gate))
    show_counts("Dead", account["dead"].items())
    show_counts("Ignored", account["ignored"].items())
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
        lane["rate"],
        lane["limit"],
    )


def describe_gate(gate: dict[str, Any]) -> str:
    """One line about a closed gate, and how to open it if an operator may."""
    since = f" since {gate['since']}" if gate["since"] else ""
    until = f", until {gate['until']}" if gate["until"] else ""
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
