"""`sailpipe pause` and `resume`: the operator's brake."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from pipeline.cli.dead_options import WhyOption, person
from pipeline.cli.options import AccountOption
from pipeline.cli.output import note, result
from pipeline.cli.session import Session, in_session
from pipeline.cli.status import describe_gate
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.events.models import Lane
from pipeline.gates.gates import GateReason, Gates
from pipeline.lanes import ALL_SCOPES, SPECS
from pipeline.status.report import gate_row
from pipeline.verbs import pausing as verbs
from pipeline.verbs.pausing import ACCOUNT_SCOPE

LaneOption: TypeAlias = Annotated[
    Lane | None, typer.Option(help="Only this lane; without it, the whole account.")
]
_WORDS: dict[GateReason, str] = {"paused": "paused", "brake": "stopped by the brake"}
"""The reasons that an operator may end, in words."""


TryNowOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--try-now",
        help="Also try Sailthru now where an outage or refused credentials closed a gate.",
    ),
]


def pause(lane: LaneOption = None, why: WhyOption = "", account: AccountOption = "default") -> None:
    """Stop delivering; what arrives is kept. Lasts until `sailpipe resume`."""

    async def work(session: Session) -> None:
        scope, by = str(lane or ACCOUNT_SCOPE), person()
        if await verbs.pause(session.redis, account, scope, by, why):
            act = Act(by, "pause", scope, 1, why)
            await AuditTrail(session.redis, account).record(act)
        else:
            note(f"{_what(scope, account)} is paused already.")
        await _show(session, account)

    in_session(account, work)


def resume(
    lane: LaneOption = None, try_now: TryNowOption = False, account: AccountOption = "default"
) -> None:
    """End a pause, and the brake that stopped a lane in which most events died."""

    async def work(session: Session) -> None:
        scope = str(lane or ACCOUNT_SCOPE)
        ended = [_WORDS[reason] for reason in await verbs.resume(session.redis, account, scope)]
        if ended:
            act = Act(person(), "resume", scope, 1)
            await AuditTrail(session.redis, account).record(act)
        why = " and ".join(ended) or f"not {' or '.join(_WORDS.values())}"
        note(f"{_what(scope, account)} was {why}.")
        if try_now:
            await _try_now(session, account, lane)
        await _show(session, account)

    in_session(account, work)


async def _try_now(session: Session, account: str, lane: Lane | None) -> None:
    """What is tried, or that nothing waits for it. What comes of it is in `status` after a second."""
    scopes = ALL_SCOPES if lane is None else SPECS[lane].scopes
    tried = await verbs.probe_now(session.redis, account, scopes)
    for closure in tried:
        note(f"{closure.scope} is tried with the next event that is due; see `sailpipe status`.")
    if not tried:
        note("No gate waits for Sailthru.")


async def _show(session: Session, account: str) -> None:
    """The gates that are closed now. A lane that was paused by itself stays paused when the account is resumed."""
    now_ms = await verbs.redis_now_ms(session.redis)
    closures = await Gates(session.redis, account).all_closures(now_ms)
    if not closures:
        result("All gates are open.")
    for closure in closures:
        result(describe_gate(gate_row(closure)))


def _what(scope: str, account: str) -> str:
    return f"Account {account}" if scope == ACCOUNT_SCOPE else f"Lane {scope}"
