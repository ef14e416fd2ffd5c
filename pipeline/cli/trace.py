"""`sailpipe trace`: what happened to one event."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipeline.cli.errors import FAILED
from pipeline.cli.options import AccountOption, JsonOption
from pipeline.cli.output import json_result, note, result
from pipeline.cli.session import Session, in_session
from pipeline.cli.tables import printable
from pipeline.clock import SystemClock
from pipeline.status.wording import WAITS, fate_words, way_words


def trace(
    identity: Annotated[str, typer.Argument(metavar="ID", help="A messageId or order id.")],
    account: AccountOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show what happened to an event, by its messageId or the id of its order.

    Ends with 1 when nothing is known of it.
    """

    async def work(session: Session) -> dict[str, Any]:
        from pipeline.status.trace import trace_event  # noqa: PLC0415 - only this command

        settings = session.settings.account(account)
        return await trace_event(session.redis, settings, identity, SystemClock())

    found = in_session(account, work)
    if as_json:
        json_result(found)
    else:
        for event in found["events"]:
            _show(event)
        _say_what_is_kept(found)
    if not found["seen"]:
        raise typer.Exit(FAILED)


def say_since(log: dict[str, Any] | None) -> str:
    """Since when outcomes are kept, as a sentence."""
    if log is None:
        return "No outcomes are kept (SAILPIPE_TRACE_KEEP), or none were written yet."
    return f"Outcomes are complete since {at(log['complete_since'])}. Times are UTC."


def at(time: str | None) -> str:
    """An ISO time for people: to the second, in UTC."""
    return "-" if time is None else f"{time[:10]} {time[11:19]}"


def counted(number: int, one: str, many: str) -> str:
    """`1 event`, `2 events`."""
    return f"{number} {one if number == 1 else many}"


def outcome_line(one: dict[str, Any]) -> str:
    """What became of an event, in a few words."""
    words = fate_words(one["fate"], one["reason"])
    return words + _until(one) if one["fate"] == "waits" else words


def waiting_line(row: dict[str, Any]) -> str:
    """What an event waits for by now, in a few words."""
    return f"waits for {WAITS.get(row['waits_for'], row['waits_for'])}{_until(row)}"


def call_line(call: dict[str, Any]) -> str:
    """A call and what came back."""
    return f"{call['endpoint']}: {call['status'] or 'no answer'}, {call['ms']} ms"


def _until(one: dict[str, Any]) -> str:
    next_try, ends = one.get("next_try"), one.get("ends")
    more = f"\n{'':21}next try {at(next_try)}" if next_try else ""
    return f"{more}\n{'':21}until {at(ends)}" if ends else more


def _show(event: dict[str, Any]) -> None:
    result(f"{printable(event['what'])}  {printable(event['id'])}")
    where = f"lane {event['lane']}" if event["lane"] else "no lane"
    result(f"  {where}, person {printable(event['user'])}")
    _line(event["arrived"], f"arrived {way_words(event['via'], event['way'])}".strip())
    for step in event["steps"]:
        for call in step["calls"]:
            _line(call["at"], call_line(call))
        _line(step["at"], outcome_line(step))
    if event["folded_with"]:
        result(f"  in one call with {', '.join(map(printable, event['folded_with'][:10]))}")
    if event["repeats"]:
        result(f"  a repeat of {printable(event['repeats'])}")
    if event["waiting"]:
        result(f"  now: {waiting_line(event['waiting'])}")
    if event["letter"]:
        result(f"  dead letter: sailpipe dead show {printable(event['letter']['id'])}")
    elif event["fate"] == "dead":
        result("  The letter is gone: it was replayed, dropped, or too old.")
    result("")


def _line(time: str | None, text: str) -> None:
    result(f"  {at(time)}  {text}")


def _say_what_is_kept(found: dict[str, Any]) -> None:
    if not found["seen"]:
        since = found["log"] and found["log"]["complete_since"]
        note(
            f"Nothing is known of {printable(found['id'])}."
            if not since
            else _not_seen(found["id"], since)
        )
    note(say_since(found["log"]))
    if not found["complete"]:
        note("Not all that waits was looked through: there is too much of it.")


def _not_seen(identity: str, since: str) -> str:
    return f"{printable(identity)} was not seen since {at(since)}, and does not wait."
