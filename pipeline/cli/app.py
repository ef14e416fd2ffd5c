"""The command line as a whole, and what becomes of its errors."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from pipeline.cli.commands import COMMANDS, LazyGroup
from pipeline.cli.errors import DONE, FAILED, WRONG_USAGE, BadInput
from pipeline.cli.guide import epilog, first_sentence
from pipeline.cli.output import note, result, speak_utf8
from pipeline.errors import ConfigError, SailpipeError

app = typer.Typer(
    name="sailpipe",
    cls=LazyGroup,
    help="Deliver customer events to Sailthru: queues, rate limits, retries, dead letters.",
    epilog=epilog(""),
    context_settings={"help_option_names": ["--help", "-h"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and only here

        result(version("sailpipe"))
        raise typer.Exit


@app.callback()
def sailpipe(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Every command's parent; it has nothing to do of its own."""


def _known_by_name() -> None:
    """In place of a command that `LazyGroup` has not loaded."""


for _name, (_, _summary) in COMMANDS.items():
    app.command(_name, help=_summary, short_help=first_sentence(_summary))(_known_by_name)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; an expected error is a sentence on stderr."""
    speak_utf8()
    try:
        app(args=arguments, prog_name="sailpipe")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except (ConfigError, BadInput) as error:
        note(f"sailpipe: {error}")
        return WRONG_USAGE
    except SailpipeError as error:
        note(f"sailpipe: {error}")
        return FAILED
    except BrokenPipeError:  # `sailpipe map … | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except _redis_error() as error:
        from pipeline.storage.redis_errors import describe  # noqa: PLC0415

        note(f"sailpipe: {describe(error)}")
        return FAILED
    return DONE


def _redis_error() -> type[Exception]:
    """Asked for only once something went wrong: Redis' client is half of what a command has to load."""
    from redis import RedisError  # noqa: PLC0415

    return RedisError
