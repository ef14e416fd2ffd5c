"""Dead letters, groups, jobs and acts as rows: for people a table, for programs tabs or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pipeline.cli.dead_options import Format
from pipeline.cli.output import json_result, note, result
from pipeline.cli.tables import age, ago, line_width, printable, show_table, show_tsv
from pipeline.clock import SystemClock
from pipeline.words import FAULTS, words_of

LIST = ("id", "died_at", "reason", "lane", "user", "event", "detail")
STATS = (
    "fingerprint",
    "letters",
    "users",
    "last",
    "state",
    "fault",
    "reason",
    "endpoint",
    "error",
    "detail",
)
JOBS = ("id", "state", "total", "sent", "died_again", "created_at", "ends_at", "what")
AUDIT = ("at", "by", "verb", "count", "what", "why")
NARROW: Mapping[tuple[str, ...], tuple[str, ...]] = {
    LIST: ("id", "died_at", "reason", "user", "event"),
    STATS: ("fingerprint", "letters", "users", "last", "state", "reason", "detail"),
    JOBS: ("id", "state", "total", "sent", "died_again", "ends_at", "what"),
}
"""What of it is shown where a line is shorter than WIDE."""
WIDE = 120
_TIMES = frozenset({"died_at", "first_seen", "first", "last", "created_at", "at"})
_WHOLE = frozenset(
    {"id", "fingerprint", "state", *_TIMES, "letters", "users", "count", "total", "sent"}
)


def show_rows(
    rows: Sequence[Mapping[str, Any]], columns: tuple[str, ...], shape: Format, *, nothing: str
) -> None:
    """Rows in the wanted shape; `nothing` is said when there are none."""
    if shape is Format.JSON:
        for row in rows:
            json_result(row)
    elif shape is Format.TSV:
        show_tsv(columns, [[row[name] for name in columns] for row in rows])
    elif rows:
        now = SystemClock().now()
        shown = columns if line_width() >= WIDE else NARROW.get(columns, columns)
        made = [[_shown(name, row[name], now) for name in shown] for row in rows]
        show_table(shown, made, whole=_WHOLE)
    else:
        note(nothing)


def shape_of(chosen: Format, *, as_json: bool) -> Format:
    """`--json` says the same as `--format json`."""
    return Format.JSON if as_json else chosen


def show_letter(letter: Mapping[str, Any]) -> None:
    """One whole letter for people: what happened, what to do, the calls as JSON, each attempt, the event."""
    row = dict(letter)
    raw, calls, timeline = (row.pop(name) for name in ("raw", "calls", "timeline"))
    words = words_of(row["reason"])
    now = SystemClock().now()
    result(f"{'what':<12}{words.title[0].upper()}{words.title[1:]} ({FAULTS[words.fault]})")
    result(f"{'to do':<12}{words.do}")
    for name, value in row.items():
        when = f" ({ago(now - _seconds(value))})" if name in _TIMES else ""
        result(f"{name:<12}{printable(value)}{when}")
    for call in calls:
        result(f"{'call':<12}{printable(_json(call))}")
    if timeline:
        show_table(tuple(timeline[0]), [tuple(attempt.values()) for attempt in timeline])
    result(printable(raw))


def show_advice(rows: Sequence[Mapping[str, Any]]) -> None:
    """A line for each reason among these: what happened, and what to do."""
    for reason in dict.fromkeys(row["reason"] for row in rows):
        words = words_of(reason)
        note(f"{reason} ({FAULTS[words.fault]}): {words.title}. To do: {words.do}.")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _shown(name: str, value: Any, now: float) -> object:
    if name == "ends_at" and value is not None:
        return f"in {age(max(0.0, _seconds(value) - now)).partition(' ')[0]}"
    return ago(now - _seconds(value)) if name in _TIMES and value is not None else value


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
