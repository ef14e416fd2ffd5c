"""Sums up what may happen thousands of times a second, and says it once a minute."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

EVERY_S = 60.0


class Minutely:
    """Counts by name on an event loop. The first after a pause begins a minute, at whose end all of it is said."""

    def __init__(self, say: Callable[[Counter[str]], None]) -> None:
        """`say` is handed what was counted. Names are words of ours, or there could be many."""
        self._say = say
        self._counted = Counter[str]()

    def add(self, name: str) -> None:
        """Count one."""
        if not self._counted:
            asyncio.get_running_loop().call_later(EVERY_S, self.flush)
        self._counted[name] += 1

    def flush(self) -> None:
        """Say what there is now."""
        counted, self._counted = self._counted, Counter()
        if counted:
            self._say(counted)


def as_text(counted: Counter[str]) -> str:
    """`name:3 other:1`, for one field of a line."""
    return " ".join(f"{name}:{times}" for name, times in sorted(counted.items()))
