"""What an event's `integrations` object gives to Sailthru: which destinations mean it, and their options as they came.

Names are display names and case-sensitive at Segment (reference: segment 2.4); people still write them in every
case, so ours are read without regard to case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NAMES = frozenset({"sailthru", "sailthru v2"})
"""The destination of 2021 and its successor: a source that was set up for either is meant."""


def named(integrations: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """What is said to Sailthru by name: (destination, its switch or options)."""
    for name, value in integrations.items():
        if value is not None and name.strip().casefold() in NAMES:
            yield name, value


def given_options(integrations: Mapping[str, Any]) -> Iterator[tuple[str, str, object]]:
    """Everything that is given as an option: (destination, name, value)."""
    for destination, given in named(integrations):
        if isinstance(given, Mapping):
            for key, value in given.items():
                yield destination, key, value
