"""`sailpipe pause` and `resume`: the operator's brake."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from pipeline.cli.options import AccountOption
from pipeline.cli.output import note, result
from pipeline.cli.session import Session, in_session
from pipeline.cli.status import describe_gate
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure, GateReason, Gates
from pipeline.status.report import gate_row

LaneOption: TypeAlias = Annotated[
    Lane | None, typer.Option(help="Only this lane; without it, the whole account.")
]
_OURS: dict[GateReason, str] = {"paused": "paused", "brake": "stopped by the brake"}
"""The reasons that an operator may end, in words."""


def pause(lane: LaneOption = None, account: AccountOption = "default") -> None:
    """Stop delivering; what arrives is kept. Lasts until `sailpipe resume`."""

    async def work(session: Session) -> None:
        gates, now_ms = Gates(session.redis, account), await _now_ms(session)
        scope = str(lane or "account")
        paused = [
            closure
            for closure in await gates.closures([scope], now_ms)
            if closure.reason == "paused"
        ]
        if paused:
            note(f"{_what(scope, account)} is paused already.")
        else:
            await gates.close(Closure(scope, "paused", 0, now_ms, "by the operator"))
        await _show(gates, now_ms)

    in_session(account, work)


def resume(lane: LaneOption = None, account: AccountOption = "default") -> None:
    """End a pause, and the brake that stopped a lane in which most events died."""

    async def work(session: Session) -> None:
        gates, scope = Gates(session.redis, account), str(lane or "account")
        ended = [words for reason, words in _OURS.items() if await gates.open(scope, reason)]
        why = " and ".join(ended) or f"not {' or '.join(_OURS.values())}"
        note(f"{_what(scope, account)} was {why}.")
        await _show(gates, await _now_ms(session))

    in_session(account, work)


async def _show(gates: Gates, now_ms: int) -> None:
    """The gates that are closed now. A lane that was paused by itself stays paused when the account is resumed."""
    closures = await gates.all_closures(now_ms)
    if not closures:
        result("All gates are open.")
    for closure in closures:
        result(describe_gate(gate_row(closure)))


def _what(scope: str, account: str) -> str:
    return f"Account {account}" if scope == "account" else f"Lane {scope}"


async def _now_ms(session: Session) -> int:
    seconds, micros = await session.redis.time()
    return int(seconds * 1000 + micros // 1000)
