"""Writes shop-day.jsonl, a plausible shop day, and shop-day.expected.json, what must become of it.

    python -m examples.make_shop_day [DIRECTORY]

The outcome of every line is known because this program wrote the story that the line is part of;
nothing of the pipeline is run or asked. The same seed gives the same files.

No event has a `timestamp`: it happens when it arrives, so that the sample does not grow stale (a
cart change a day old would be a dead letter by MAX_AGE). Every line is a JSON object, wrong as it
may be: lines that aren't are refused by `sailpipe enqueue` and never reach the pipeline.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from examples.shop_day import mishaps, stories
from examples.shop_day.visits import DELIVERED, Day, Line
from pipeline.accept import message_id_for_line

SEED = 20261123
DUPLICATE = "duplicate"
DUPLICATES = 30
SETTINGS = {"SAILPIPE_EMAIL_WAIT": "5s", "SAILPIPE_USER_WAIT": "5s"}
"""What the dead letters of the expectation depend on; everything else as it is by default."""

CAST: Mapping[Callable[[Day], None], int] = {
    stories.shopper: 178,
    stories.shopper_without_email: 16,
    stories.shopper_with_late_email: 20,
    stories.shopper_with_email_in_order: 18,
    stories.window_shopper: 70,
    stories.newcomer: 18,
    stories.reader: 12,
    stories.guest: 14,
    mishaps.malformed: 1,
    mishaps.without_any_id: 2,
    mishaps.buyers_without_email: 2,
    mishaps.strangers: 1,
    mishaps.refused: 1,
    mishaps.nothing_to_remove: 1,
    mishaps.not_for_sailthru: 1,
}
"""How often each story is told."""


def make_day(seed: int = SEED) -> list[Line]:
    """Every line of the day in order of arrival."""
    day = Day(random.Random(seed))
    for story, times in CAST.items():
        for _ in range(times):
            story(day)
    day.lines += repeated(day)
    return sorted(day.lines, key=lambda line: line.at)


def repeated(day: Day) -> list[Line]:
    """Some lines again, as an SDK sends them when the answer to the first try was lost."""
    named = [line for line in day.lines if line.outcome == DELIVERED and "messageId" in line.event]
    again = day.chance.sample(named, DUPLICATES)
    return [
        replace(line, at=line.at + day.chance.uniform(1.0, 900.0), outcome=DUPLICATE)
        for line in again
    ]


def expectation(lines: list[Line], content: bytes) -> dict[str, Any]:
    """What must become of the lines, once nothing waits any more."""
    digest = hashlib.sha256(content).hexdigest()
    dead: dict[str, str] = {}
    counts: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    for number, line in enumerate(lines, start=1):
        outcome, _, reason = line.outcome.partition(":")
        counts[outcome] += 1
        if outcome == "dead":
            dead[line.event.get("messageId") or message_id_for_line(digest, number)] = reason
        elif outcome == "ignored":
            ignored[reason] += 1
    return {
        "settings": SETTINGS,
        "enqueued": len(lines),
        "delivered": counts[DELIVERED],
        "duplicates": counts[DUPLICATE],
        "ignored": dict(sorted(ignored.items())),
        "dead": dead,
    }


def write_files(directory: Path) -> None:
    """Write both files into `directory`."""
    lines = make_day()
    content = "".join(f"{json.dumps(line.event, ensure_ascii=False)}\n" for line in lines).encode()
    (directory / "shop-day.jsonl").write_bytes(content)
    expected = json.dumps(expectation(lines, content), indent=1)
    (directory / "shop-day.expected.json").write_text(f"{expected}\n", encoding="utf-8")


if __name__ == "__main__":
    write_files(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
