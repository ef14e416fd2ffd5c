"""An edit of a letter as it is shown: what changes in the event and in the calls, with the fields of REDACT masked. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.deadletters.edits import BadChange, diff
from pipeline.deadletters.fixing import Fixed
from pipeline.deadletters.mending import Mended, shown_event
from pipeline.guard.masking import Masking

MASKED = "(fields that REDACT names)"


def event_lines(mended: Mended, masking: Masking) -> list[str]:
    """The lines `- path: value` and `+ path: value` of the event."""
    try:
        old: Any = shown_event(mended.letter)
    except BadChange:
        old = masking.text(mended.letter.raw.decode("utf-8", "replace"))
    return masked_diff(old, dict(mended.event), masking)


def call_lines(mended: Mended, masking: Masking) -> list[str]:
    """The same of what would be sent: lane, calls, why it would be ignored or fail."""
    return masked_diff(_sent(mended.before), _sent(mended.after), masking)


def masked_diff(old: Any, new: Any, masking: Masking) -> list[str]:
    """What differs, masked; where only masked fields do, a line that says so."""
    lines = diff(masking.value(old), masking.value(new))
    return lines or ([f"+ {MASKED}"] if diff(old, new) else [])


def mended_json(mended: Mended, masking: Masking) -> dict[str, Any]:
    """In the shape of a line of `dead fix --dry-run --json`."""
    shown = mended.as_json() | {"event_diff": event_lines(mended, masking)}
    return shown | {name: masking.value(shown[name]) for name in ("before", "after")}


def fixed_json(found: Fixed) -> dict[str, Any]:
    """How many letters were changed, stay as they were, are gone, and could not be changed, and why."""
    return {
        "changed": found.changed,
        "unchanged": found.unchanged,
        "gone": found.gone,
        "refused": [{"why": why, "letters": n} for why, n in found.refused.most_common()],
    }


def _sent(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("lane", "calls", "ignored", "error")}
