"""All commands in one place, and what becomes of their errors."""

from __future__ import annotations

import os
import sys

import redis
import typer

from pipeline.cli import (
    adopt,
    dead,
    doctor,
    enqueue,
    gates,
    limits,
    map_events,
    processes,
    reset,
    status,
    up,
)
from pipeline.cli.errors import DONE, FAILED, WRONG_USAGE, BadInput
from pipeline.cli.output import note, speak_utf8
from pipeline.errors import ConfigError, SailpipeError
from pipeline.storage.redis_errors import describe

app = typer.Typer(
    name="sailpipe",
    help="Deliver customer events to Sailthru: queues, rate limits, retries, dead letters.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("up")(up.up)
app.command("serve")(processes.serve)
app.command("worker")(processes.worker)
app.command("splitter")(processes.splitter)
app.command("sandbox")(processes.sandbox)
app.command("enqueue")(enqueue.enqueue)
app.command("map")(map_events.map_events)
app.command("status")(status.status)
app.add_typer(dead.app, name="dead")
app.command("pause")(gates.pause)
app.command("resume")(gates.resume)
app.add_typer(limits.app, name="limits")
app.command("reset")(reset.reset)
app.command("adopt")(adopt.adopt)
app.command("doctor")(doctor.doctor)


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
    except redis.RedisError as error:
        note(f"sailpipe: {describe(error)}")
        return FAILED
    except BrokenPipeError:  # `sailpipe map … | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return DONE
