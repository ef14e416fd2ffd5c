"""Which commands there are, and where each one is. A command's module is imported when it is used.

`--help` and the completion of a name need one line of each, which stands here; a test compares it with
what the command says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import typer
from typer.main import get_command, get_group

from pipeline.cli.guide import GuidedGroup, guide

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "up": (
            "up:up",
            "Run everything on this machine: Redis, HTTP, splitter, workers; without an API key a sandbox.",
        ),
        "serve": ("processes:serve", "Take events over HTTP."),
        "worker": ("processes:worker", "Deliver what waits: becomes a Celery worker process."),
        "splitter": (
            "processes:splitter",
            "Split what was accepted onto the lanes; one works at a time, any others stand by.",
        ),
        "sandbox": (
            "processes:sandbox",
            "Run a stand-in for Sailthru that keeps everything in memory.",
        ),
        "healthcheck": (
            "healthcheck:healthcheck",
            "Say whether the processes of this host work: a sign of life of each, and an answer where one serves HTTP.",
        ),
        "enqueue": ("enqueue:enqueue", "Append events to the pipeline."),
        "xadd": (
            "xadd:xadd",
            "Append one event as XADD would, where there is no redis-cli, and print its entry's id.",
        ),
        "map": (
            "map_events:map_events",
            "Show the calls each event would become, one line per input, and send nothing.",
        ),
        "status": ("status:status", "Show processes, lanes, gates, counts and dead letters."),
        "top": (
            "top:top",
            "Show lanes, gates, processes and problems live, with keys to pause, resume and look closer.",
        ),
        "trace": (
            "trace:trace",
            "Show what happened to an event, by its messageId or the id of its order.",
        ),
        "user": (
            "user:user",
            "Show what is known of a person: what waits, last outcomes, email, cart.",
        ),
        "waiting": (
            "waiting:waiting",
            "Show what waits, by cause, with its next try and the end of the wait; let it go, or drop it.",
        ),
        "calls": (
            "calls:calls",
            "Show the calls that a dry run would have made, in their order.",
        ),
        "metrics": (
            "metrics:metrics",
            "Show the metrics of all processes as Prometheus reads them.",
        ),
        "pause": ("gates:pause", "Stop delivering; what arrives is kept."),
        "resume": (
            "gates:resume",
            "End a pause, and the brake that stopped a lane in which most events died.",
        ),
        "reset": (
            "reset:reset",
            "Empty an account: all that waits, dead letters, what is remembered, counters, gates.",
        ),
        "forget": (
            "forget:forget",
            "Erase a person from everything that is kept here, and show that nothing is left.",
        ),
        "adopt": (
            "adopt:adopt",
            "Deliver what waits for another target to the one of these settings.",
        ),
        "doctor": ("doctor:doctor", "Check settings, Redis, processes and credentials."),
        "dead": ("dead:app", "See, replay, drop and export what could not be delivered."),
        "limits": ("limits:app", "Show or change the limits, in calls per second."),
    }
)
"""Name -> (module of `pipeline.cli` and what in it, the line that `--help` shows)."""


class LazyGroup(GuidedGroup):
    """Knows its commands by name and line; the one that is meant is loaded when it is resolved."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else load(name), rest


def load(name: str) -> Any:
    """The command of that name, imported: one that Typer made of a function or of an app of its own."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(f"pipeline.cli.{module}"), attribute)
    command = _command_of(name, found)
    guide(command, name)
    return command


def _command_of(name: str, found: Any) -> Any:
    if isinstance(found, typer.Typer):
        return get_group(found)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name)(found)
    return get_command(alone)
