"""What became of an event and of whom an email is, in the words that people are told. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pipeline.status.mailboxes import CAUSES
from pipeline.ways_in import WayIn

FATES: Mapping[str, str] = MappingProxyType(
    {
        "delivered": "delivered",
        "ignored": "ignored",
        "duplicate": "dropped as a repeat",
        "dead": "dead letter",
        "removed": "removed",
        "waits": "waits",
    }
)
"""The fates of `trace` and `user`."""
WAITS: Mapping[str, str] = MappingProxyType(
    {
        "cart": "its cart to be read once more",
        "order_unverified": "its order to be looked up",
        "throttled": "Sailthru's limit",
        "circuit": "Sailthru, which does not answer",
        "misconfigured": "credentials that Sailthru takes",
        "split": "the splitter: it is in the raw stream",
        **CAUSES,
    }
)
"""What an event waits or waited for: it waits for ..."""
SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "stated": "an identify said so",
        "shown": "an event's context showed it",
        "bought": "an order or a page showed it",
        "looked_up": "Sailthru's profile has it",
    }
)
"""From where an email is known."""

WAYS_IN: Mapping[str, str] = MappingProxyType(
    {
        WayIn.PYTHON: "by pipeline.enqueue",
        WayIn.FILE: "from a file",
        WayIn.SEGMENT: "by Segment's API",
        WayIn.SAILTHRU: "by Sailthru's API",
        WayIn.VIBETRACE: "by Vibetrace's API",
        WayIn.WEBHOOK: "by a webhook of Segment",
        WayIn.CONSOLE: "from the console",
        WayIn.REDIS: "by Redis",
        WayIn.REPLAY: "as one that was sent again",
    }
)
"""By which way an event arrived: it arrived ..."""
_LABELS: Mapping[str, str] = MappingProxyType(
    {"browser": "with a key of role browser", "bulk": "as bulk"}
)


def way_words(via: str | None, labels: Sequence[str]) -> str:
    """How an event arrived, in a few words; '' when nothing is known of it. labels: `way` of an outcome."""
    words = [WAYS_IN.get(via, via)] if via else []
    words += [_LABELS[one] for one in labels if one in _LABELS]
    if "replay" in labels and via != WayIn.REPLAY:
        words.append(WAYS_IN[WayIn.REPLAY])
    return ", ".join(words)


def fate_words(fate: str, reason: str | None, *, dead: str = FATES["dead"]) -> str:
    """What became of an event, in a few words. dead: what a dead letter is called."""
    if fate == "waits":
        return f"waits for {WAITS.get(reason or '', reason)}"
    words = dead if fate == "dead" else FATES[fate]
    return f"{words}: {reason}" if reason else words
