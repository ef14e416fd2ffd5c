"""What mailboxes are called: after their user, and in an unordered lane also by a number."""

from __future__ import annotations

SPREAD = 16
"""Into how many mailboxes an unordered lane spreads one user's events (lib.lua knows it, too)."""
_MARK = "\x1f"
"""Between user and number. No id has one: control characters are removed."""


def spread_box(user: str, number: int) -> str:
    """The mailbox of an unordered lane that a number (a hash of the messageId) falls into."""
    return f"{user}{_MARK}{number % SPREAD}"


def user_of(box: str) -> str:
    """The user a mailbox belongs to."""
    return box.partition(_MARK)[0]


def boxes_of(user: str) -> list[str]:
    """Every mailbox that a lane may hold a user's events in."""
    return [user, *(spread_box(user, number) for number in range(SPREAD))]
