"""Options that say which letters a `sailpipe dead` command is about, and what is to be changed in them."""

from __future__ import annotations

import functools
import getpass
import inspect
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Concatenate, ParamSpec, TypeAlias

import typer

from pipeline.cli.errors import BadInput
from pipeline.clock import SystemClock
from pipeline.deadletters.edits import (
    BadChange,
    Change,
    Unset,
    read_cast,
    read_path,
    read_rename,
    read_set,
)
from pipeline.deadletters.filters import Filter
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.settings.values import parse_duration
from pipeline.times import read_time

P = ParamSpec("P")


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    TSV = "tsv"
    JSON = "json"


IdsArgument: TypeAlias = Annotated[
    list[str] | None, typer.Argument(help="Ids of dead letters, or how they begin.")
]
IdArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="A dead letter's id, or how it begins.")
]
ReasonOption: TypeAlias = Annotated[
    Reason | None,
    typer.Option(metavar="REASON", help=f"What they died of: {', '.join(Reason)}."),
]
LaneOption: TypeAlias = Annotated[Lane | None, typer.Option(help="The lane they were in.")]
UserOption: TypeAlias = Annotated[str | None, typer.Option(help="The user they are about.")]
SinceOption: TypeAlias = Annotated[
    str | None,
    typer.Option(help="They died no longer ago than this (30m, 2h, 7d), or since a time."),
]
UntilOption: TypeAlias = Annotated[
    str | None, typer.Option(help="They died longer ago than this, or until a time.")
]
GroupOption: TypeAlias = Annotated[
    str | None, typer.Option(help="Their fingerprint; see `sailpipe dead stats`.")
]
EndpointOption: TypeAlias = Annotated[
    str | None, typer.Option(help="The call that failed: /event, POST /user.")
]
CodeOption: TypeAlias = Annotated[
    int | None, typer.Option(help="Sailthru's error or the HTTP status.")
]
EventOption: TypeAlias = Annotated[str | None, typer.Option(help="The event's name.")]
OrderOption: TypeAlias = Annotated[str | None, typer.Option(help="The order's number.")]
MatchOption: TypeAlias = Annotated[
    str | None, typer.Option(help="Text in the event, its id, its user or the detail.")
]
AllOption: TypeAlias = Annotated[bool, typer.Option("--all", help="Every dead letter.")]
YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
WhyOption: TypeAlias = Annotated[
    str, typer.Option("--why", help="For the record: see `sailpipe dead audit`.")
]
FormatOption: TypeAlias = Annotated[
    Format, typer.Option("--format", help="How it is written.", show_choices=True)
]
SetOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Write a field: properties.email=a@b.example."
    ),
]
UnsetOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--unset", metavar="PATH", help="Remove a field.")
]
RenameOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--rename", metavar="OLD=NEW", help="Move a field.")
]
CastOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--cast", metavar="PATH=KIND", help="Make a field a number, int, text or bool."),
]


def make_filter(
    reason: ReasonOption = None,
    lane: LaneOption = None,
    user: UserOption = None,
    since: SinceOption = None,
    group: GroupOption = None,
    until: UntilOption = None,
    endpoint: EndpointOption = None,
    code: CodeOption = None,
    event: EventOption = None,
    order: OrderOption = None,
    match: MatchOption = None,
) -> Filter:
    """The letters that these options mean. Raises BadInput when a time is neither a duration nor one."""
    return Filter(
        reason=reason,
        lane=lane,
        user=user,
        since_ms=None if since is None else time_ms("--since", since),
        group=group,
        until_ms=None if until is None else time_ms("--until", until),
        endpoint=endpoint,
        code=code,
        event=event,
        order=order,
        match=match,
    )


def make_changes(
    renames: Sequence[str] | None,
    sets: Sequence[str] | None,
    casts: Sequence[str] | None,
    unsets: Sequence[str] | None,
) -> list[Change]:
    """What is to be changed, in this order. Raises BadInput when one cannot be read."""
    try:
        return [
            *map(read_rename, renames or ()),
            *map(read_set, sets or ()),
            *map(read_cast, casts or ()),
            *(Unset(read_path(text)) for text in unsets or ()),
        ]
    except BadChange as error:
        raise BadInput(str(error)) from None


def takes_filter(command: Callable[Concatenate[Filter, P], None]) -> Callable[..., None]:
    """Give a command the options of `make_filter` in place of its first parameter.

    Typer reads a command's options from its signature, so the two signatures are joined.
    """
    options = list(inspect.signature(make_filter, eval_str=True).parameters.values())
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    @functools.wraps(command)
    def run(*args: P.args, **given: P.kwargs) -> None:
        wanted = make_filter(**{one.name: given.pop(one.name) for one in options})  # type: ignore[arg-type]
        command(wanted, *args, **given)

    joined = [*options, *own]
    run.__signature__ = inspect.Signature(joined)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in joined}
    return run


def check_means_some(ids: list[str] | None, wanted: Filter, *, everything: bool) -> None:
    """A command that changes letters must say which, in exactly one way. Raises BadInput."""
    ways = [bool(ids), wanted != Filter(), everything]
    if sum(ways) != 1:
        raise BadInput("Say which dead letters: ids, or filters such as --reason, or --all.")


def person() -> str:
    """Who runs this command, for the audit trail."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return "unknown"


def time_ms(option: str, text: str) -> int:
    """A time, or how long ago (`2h`), in Unix ms. Raises BadInput, which names the option."""
    at = read_time(text)
    if at is not None:
        return int(at.timestamp() * 1000)
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise BadInput(f"{option}: {error}, or a time such as 2026-11-27T09:00Z.") from None
    return int((SystemClock().now() - float(str(seconds))) * 1000)
