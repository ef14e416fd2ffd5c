"""Values that remember what they were, for reads that lag behind writes."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class History(Generic[T]):
    """One value over time. Forgets what no read within `keep_s` can ask for."""

    __slots__ = ("_versions",)

    def __init__(self) -> None:
        self._versions: list[tuple[float, T | None]] = []

    @property
    def latest(self) -> T | None:
        return self._versions[-1][1] if self._versions else None

    def at(self, when: float) -> T | None:
        """The value at that time (Unix seconds); None before the first."""
        for since, value in reversed(self._versions):
            if since <= when:
                return value
        return None

    def put(self, value: T | None, now: float, keep_s: float) -> None:
        """Set it from `now` on; None means gone."""
        self._versions.append((now, value))
        while len(self._versions) > 1 and self._versions[1][0] <= now - keep_s:
            del self._versions[0]
