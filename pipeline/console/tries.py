"""One letter's past beside what would be sent today: what differs, what Sailthru said, each try and wait. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.api.mended import masked_diff
from pipeline.console import views
from pipeline.deadletters.letter import Letter
from pipeline.guard.masking import Masking
from pipeline.status.wording import WAITS
from pipeline.trace.records import Fate, Record
from pipeline.words import console_words

Call = Mapping[str, Any]


def call_name(call: Call) -> str:
    """Method and path, as pages head a call."""
    return f"{call.get('method', '')} {call.get('endpoint', '')}"


def shown_calls(calls: Iterable[Call]) -> list[tuple[str, str]]:
    """Calls as a page shows them: the name, and the parameters as JSON."""
    return [(call_name(one), views.pretty(one.get("params"))) for one in calls]


def against_then(
    then: Sequence[Call], today: Sequence[Call], masking: Masking
) -> list[tuple[str, str]]:
    """What differs between what was sent then and what would be sent today, as (`-` or `+`, line), masked.

    A letter keeps the calls that were refused, so that today's other calls are left out.
    """
    before = _by_name(then)
    after = {name: params for name, params in _by_name(today).items() if name in before}
    return [sign_of(line) for line in masked_diff(before, after, masking)]


def sign_of(line: str) -> tuple[str, str]:
    """A line of a diff, apart."""
    return line[:1], line[2:]


def answer(letter: Letter) -> dict[str, Any]:
    """What Sailthru said to the last call: HTTP status, its own code, its message. none: a sentence where it said nothing."""
    header = letter.header
    last = header.timeline[-1] if header.timeline else None
    if header.endpoint and (header.status or header.error):
        return {
            "status": header.status,
            "code": header.error,
            "text": header.detail,
            "none": "",
        }
    if header.endpoint and last and last.status:
        return {"status": last.status, "code": None, "text": last.error, "none": ""}
    if header.endpoint and last:
        none = f"No answer was read: {last.error}"
    elif last:
        before = f"HTTP {last.status}, {last.error}" if last.status else last.error
        none = f"It was not asked at the end. The try before: {before}"
    else:
        none = "Nothing was sent."
    return {"status": None, "code": None, "text": "", "none": none}


def timeline(letter: Letter, records: Iterable[Record], now: float) -> list[dict[str, Any]]:
    """Tries and waits between arrival and death, the oldest first. records: what the log of outcomes has of the letter."""
    tries: list[tuple[float, dict[str, Any]]] = [
        (
            one.at,
            {
                "waits": "",
                "n": one.n,
                "ago": views.time_tag(int(one.at * 1000), now),
                "status": one.status,
                "ms": round(one.duration_s * 1000),
                "text": one.error,
                "again": views.duration(one.wait_s) if one.wait_s else "",
            },
        )
        for one in letter.header.timeline
    ]
    waits: list[tuple[float, dict[str, Any]]] = [
        (
            one.at / 1000,
            {"ago": views.time_tag(one.at, now), "waits": console_words(wait_words(one.reason))},
        )
        for one in records
        if one.fate is Fate.WAITS and one.at <= letter.header.died_at
    ]
    return [line for _, line in sorted(tries + waits, key=lambda pair: pair[0])]


def wait_words(reason: str) -> str:
    """What an event waited for, in words."""
    return WAITS.get(reason, reason)


def _by_name(calls: Iterable[Call]) -> dict[str, Any]:
    """Parameters by the call's name; the second of a name has its number."""
    found: dict[str, Any] = {}
    seen = Counter[str]()
    for one in calls:
        name = call_name(one)
        seen[name] += 1
        found[name if seen[name] == 1 else f"{name} ({seen[name]})"] = one.get("params")
    return found
