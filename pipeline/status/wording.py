"""What became of an event and of whom an email is, in the words that people are told. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.status.mailboxes import CAUSES

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


def fate_words(fate: str, reason: str | None, *, dead: str = FATES["dead"]) -> str:
    """What became of an event, in a few words. dead: what a dead letter is called."""
    if fate == "waits":
        return f"waits for {WAITS.get(reason or '', reason)}"
    words = dead if fate == "dead" else FATES[fate]
    return f"{words}: {reason}" if reason else words
