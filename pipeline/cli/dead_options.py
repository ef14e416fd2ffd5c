"""Options that say which letters a `sailpipe dead` command is about."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Concatenate, ParamSpec, TypeAlias

import typer

from pipeline.cli.errors import BadInput
from pipeline.clock import SystemClock
from pipeline.deadletters.filters import Filter
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.settings.values import parse_duration

P = ParamSpec("P")

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
    reason: ReasonOption = None,
    lane: LaneOption = None,
    user: UserOption = None,
    since: SinceOption = None,
    group: GroupOption = None,
) -> Filter:
    """The letters that these options mean. Raises BadInput when `since` is not a duration."""
    return Filter(reason, lane, user, None if since is None else _since_ms(since), group)


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


def _since_ms(text: str) -> int:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise BadInput(f"--since: {error}.") from None
    return int((SystemClock().now() - float(str(seconds))) * 1000)
