"""Where the store's clock stands on ours, closer than one round trip can tell."""

from __future__ import annotations

_DRIFT = 1e-4
"""Two machines' clocks run apart by less than this (100 ppm)."""


class ServerClock:
    """Converts the store's microseconds into this process's monotonic seconds.

    An answer that says "it is now T", asked for at a and received at b, bounds the difference of the
    clocks from both sides. Intersecting the bounds of many answers leaves what the fastest one leaves,
    so that a slow answer (a busy loop, a stalled network) does not move the slots it brings.
    """

    def __init__(self) -> None:
        self._low = 0.0
        self._high = 0.0
        self._seen: float | None = None

    def heard(self, now_us: int, asked: float, received: float) -> None:
        """The store's clock said `now_us` between `asked` and `received`, monotonic seconds."""
        low, high = now_us / 1e6 - received, now_us / 1e6 - asked
        if self._seen is not None:
            slip = (received - self._seen) * _DRIFT
            low, high = max(low, self._low - slip), min(high, self._high + slip)
        if low > high:  # somebody has set the store's clock
            low, high = now_us / 1e6 - received, now_us / 1e6 - asked
        self._low, self._high, self._seen = low, high, received

    def local(self, at_us: int) -> float:
        """Monotonic seconds of a time of the store."""
        return at_us / 1e6 - (self._low + self._high) / 2

    def remote(self, at: float) -> int:
        """Microseconds of the store at a monotonic time."""
        return int((at + (self._low + self._high) / 2) * 1e6)
