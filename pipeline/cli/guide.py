"""How help texts lead: under which heading each command stands, and an example of each.

A test walks all commands: each has a heading here, and an example whose options it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from typer.core import TyperGroup

RUN, SEND, LOOK, CHANGE = "Run", "Send", "Look", "Change"
HEADINGS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        RUN: ("up", "serve", "worker", "splitter", "sandbox", "healthcheck"),
        SEND: ("enqueue", "xadd"),
        LOOK: (
            *("status", "top", "waiting", "trace", "user", "map", "calls", "metrics", "doctor"),
            *("dead list", "dead show", "dead stats", "dead audit", "dead export"),
        ),
        CHANGE: (
            *("dead", "limits", "limits set", "limits unset", "pause", "resume", "adopt", "reset"),
            "forget",
            *("dead replay", "dead jobs", "dead edit", "dead fix", "dead mark", "dead drop"),
        ),
    }
)
"""Heading -> commands, in the order in which help lists them."""

EXAMPLES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "": ("sailpipe up", "sailpipe status", "sailpipe dead stats"),
        "up": ("sailpipe up --port 8001",),
        "serve": ("sailpipe serve --host 0.0.0.0 --port 8000",),
        "worker": ("sailpipe worker --lanes user,event",),
        "splitter": ("sailpipe splitter",),
        "sandbox": ("sailpipe sandbox --port 8100",),
        "healthcheck": ("sailpipe healthcheck --url http://127.0.0.1:8000/readyz",),
        "enqueue": (
            "sailpipe enqueue events.jsonl more.jsonl.gz",
            "zcat old.gz | sailpipe enqueue - --bulk",
        ),
        "xadd": ("""sailpipe xadd '{"type": "track", "userId": "u-1", "event": "Signed Up"}'""",),
        "map": ("sailpipe map events.jsonl", "sailpipe map - --profile profile.json < event.json"),
        "calls": ("sailpipe calls --user u-1", 'sailpipe calls --json --endpoint "POST /purchase"'),
        "status": ("sailpipe status --watch", "sailpipe status --check && echo all is well"),
        "top": ("sailpipe top",),
        "trace": ("sailpipe trace 10423",),
        "user": ("sailpipe user ann@example.com --why",),
        "waiting": ("sailpipe waiting", "sailpipe waiting --for retry --release"),
        "metrics": ("sailpipe metrics | grep backlog",),
        "pause": ("sailpipe pause --lane purchase",),
        "resume": ("sailpipe resume --lane purchase",),
        "reset": ("sailpipe reset --dry-run", "sailpipe reset --yes"),
        "adopt": ("sailpipe adopt --dry-run", "sailpipe adopt --sent-before 2026-11-27T10:00:00Z"),
        "forget": (
            "sailpipe forget ann@example.com --dry-run",
            'sailpipe forget ann@example.com --at-sailthru --why "asked by letter"',
        ),
        "doctor": ("sailpipe doctor", "sailpipe doctor --live sailpipe-doctor@example.org"),
        "dead": ("sailpipe dead stats", "sailpipe dead replay --reason missing_email"),
        "dead list": ("sailpipe dead list --reason rejected --since 2h",),
        "dead show": ("sailpipe dead show 8aa24d9a",),
        "dead stats": ("sailpipe dead stats --lane purchase",),
        "dead mark": ('sailpipe dead mark 3f9c acknowledged --why "the shop mends it on Monday"',),
        "dead audit": ("sailpipe dead audit --limit 10",),
        "dead export": ("sailpipe dead export --since 7d > letters.jsonl",),
        "dead replay": (
            "sailpipe dead replay --reason exhausted --since 2h --dry-run",
            "sailpipe dead replay --group 3f9c --rate 5 --job",
        ),
        "dead jobs": ("sailpipe dead jobs", "sailpipe dead jobs pause 1c2d3e4f"),
        "dead edit": ("sailpipe dead edit 8aa24d9a --set properties.email=ann@example.com",),
        "dead fix": (
            "sailpipe dead fix --group 3f9c --rename properties.mail=properties.email --dry-run",
        ),
        "dead drop": ("sailpipe dead drop --reason too_large --dry-run",),
        "limits": ("sailpipe limits",),
        "limits set": ('sailpipe limits set "POST /event" 80',),
        "limits unset": ('sailpipe limits unset "POST /event"',),
    }
)
"""Command -> one or two lines that a person may copy."""


class GuidedGroup(TyperGroup):
    """Lists its commands under their headings, each with its whole line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        words = ctx.command_path.split()[1:]
        rows = {
            name: command.get_short_help_str()
            for name, command in self.commands.items()
            if not command.hidden
        }
        for heading, names in HEADINGS.items():
            below = [name.rpartition(" ") for name in names]
            listed = [
                name for parent, _, name in below if parent == " ".join(words) and name in rows
            ]
            _write(formatter, heading, [(name, rows.pop(name)) for name in listed])
        _write(formatter, "Commands", list(rows.items()))


def _write(formatter: Any, heading: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(heading):
            formatter.write_dl(rows)


def guide(command: Any, path: str) -> None:
    """Give a command, and all below it, the example of its path and its whole first sentence as its line."""
    command.short_help = first_sentence(command.help or "")
    command.epilog = epilog(path)
    for name, below in getattr(command, "commands", {}).items():
        guide(below, f"{path} {name}")


def epilog(path: str) -> str | None:
    """The examples of a command, as they stand at the end of its help."""
    if path not in EXAMPLES:
        return None
    lines = [f"  {line}" for line in EXAMPLES[path]]
    return "\n".join(["\b", "Example:" if len(lines) == 1 else "Examples:", *lines])


def first_sentence(text: str) -> str:
    """What stands in a list of commands: the text up to its first full stop or empty line, without that stop."""
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".") + "."
