"""`sailpipe user`: what is known of one person."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from pipeline.cli.errors import FAILED
from pipeline.cli.options import AccountOption, JsonOption
from pipeline.cli.output import json_result, note, result
from pipeline.cli.session import Session, in_session
from pipeline.cli.tables import printable
from pipeline.cli.trace import at, outcome_line, say_since, waiting_line
from pipeline.status.wording import SOURCES

_MARKS = {True: "yes", False: "NO", None: "?"}


def user(
    identity: Annotated[
        str, typer.Argument(metavar="ID", help="A userId, anonymousId or email address.")
    ],
    why: Annotated[
        bool,
        typer.Option(
            "--why", help="Say why this person got no mail; asks Sailthru once, within the limits."
        ),
    ] = False,
    account: AccountOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show what is known of a person: what waits, last outcomes, email, cart.

    Ends with 1 when nothing is known.
    """

    async def work(session: Session) -> dict[str, Any]:
        from pipeline.status.person import read_person  # noqa: PLC0415 - only this command

        person = await read_person(session.redis, session.settings.account(account), identity)
        if why:
            person["why"] = await _why(session, person)
        return person

    found = in_session(account, work)
    if as_json:
        json_result(found)
    else:
        _show(found)
    if not found["known"]:
        raise typer.Exit(FAILED)


async def _why(session: Session, person: dict[str, Any]) -> list[dict[str, Any]]:
    from pipeline.ingest.upstream import Upstream  # noqa: PLC0415 - only with --why
    from pipeline.verbs.people import explain  # noqa: PLC0415

    upstream = Upstream(session.settings, session.redis)
    try:
        return [asdict(one) for one in await explain(person, upstream.ask)]
    finally:
        await upstream.aclose()


def _show(person: dict[str, Any]) -> None:
    if not person["known"]:
        note(f"Nothing is known of {printable(person['id'])}.")
        note(say_since(person["log"]))
        return
    result(f"Person {printable(person['user'])}, account {person['account']}")
    for one in person.get("why", ()):
        result(f"  {_MARKS[one['ok']]:<4}{one['what']}: {printable(one['text'])}")
    _show_memory(person)
    for lane, box in person["waiting"].items():
        if box["events"]:
            result(f"Waiting in lane {lane}: {box['events']}")
        for row in box["first"]:
            result(f"  {at(row['arrived'])}  {_named(row)}")
            result(f"{'':21}{waiting_line(row)}")
    _show_list("Last outcomes", person["outcomes"], "at", outcome_line)
    _show_list("Dead letters", person["dead"], "died_at", lambda one: str(one["reason"]))
    note(say_since(person["log"]))


def _show_memory(person: dict[str, Any]) -> None:
    email, cart = person["email"], person["cart"]
    if email:
        result(f"Email {printable(email['address'])}: {SOURCES.get(email['source'], '')}")
    else:
        result("Email: none is known")
    for address in person["refused"]:
        result(f"  Sailthru refused {printable(address)}")
    result(f"Last identified: {at(person['identified'])}")
    if cart:
        items = ", ".join(f"{one.get('qty')} x {one.get('id')}" for one in cart["items"])
        result(f"Cart as we wrote it: {printable(items) if items else 'empty'}")


def _show_list(title: str, rows: list[dict[str, Any]], time: str, line: Any) -> None:
    if rows:
        result(title)
    for one in rows:
        result(f"  {at(one[time])}  {_named(one)}")
        result(f"{'':21}{line(one)}")


def _named(one: dict[str, Any]) -> str:
    what = one.get("what") or one.get("event") or one.get("type")
    return f"{printable(what)}  {printable(one['id'])}"
