"""Options by which `sailpipe dead` is told which letters are meant."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from pipeline.cli.errors import BadInput
from pipeline.clock import SystemClock
from pipeline.deadletters.filters import Filter
from pipeline.errors import Reason
from pipeline.events import Lane
from pipeline.settings.values import parse_duration

IdsArgument: TypeAlias = Annotated[list[str] | None, typer.Argument(help="Ids of dead letters.")]
ReasonOption: TypeAlias = Annotated[Reason | None, typer.Option(help="What they died of.")]
LaneOption: TypeAlias = Annotated[Lane | None, typer.Option(help="The lane they were in.")]
UserOption: TypeAlias = Annotated[str | None, typer.Option(help="The user they are about.")]
SinceOption: TypeAlias = Annotated[
    str | None, typer.Option(help="They died no longer ago than this: 30m, 2h, 7d.")
]
GroupOption: TypeAlias = Annotated[
    str | None, typer.Option(help="Their fingerprint; see `sailpipe dead stats`.")
]
AllOption: TypeAlias = Annotated[bool, typer.Option("--all", help="Every dead letter.")]
YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def make_filter(
    reason: Reason | None, lane: Lane | None, user: str | None, since: str | None, group: str | None
) -> Filter:
    """The letters that these options mean. Raises BadInput when `since` is not a duration."""
    return Filter(reason, lane, user, None if since is None else _since_ms(since), group)


def check_means_some(ids: list[str] | None, wanted: Filter, *, everything: bool) -> None:
    """Whoever changes letters says which, in exactly one way. Raises BadInput."""
    ways = [bool(ids), wanted != Filter(), everything]
    if sum(ways) != 1:
        raise BadInput("Say which dead letters: ids, or filters such as --reason, or --all.")


def _since_ms(text: str) -> int:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise BadInput(f"--since: {error}.") from None
    return int((SystemClock().now() - float(str(seconds))) * 1000)
