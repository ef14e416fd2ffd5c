"""Slows down who guesses a password."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict

from pipeline.clock import Clock

MAX_TRIES = 5
PAUSE_S = 30.0
"""Seconds without a try, after which there are MAX_TRIES again."""
MAX_ADDRESSES = 10_000
"""Addresses that are remembered; those that tried last. In memory: a full Redis must not keep an operator out."""


class Tries:
    """Counts tries by the address they come from, a network of 2^64 addresses for IPv6."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spent: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def take(self, address: str | None) -> int:
        """Use up one try, before its password is looked at. 0 when there was one, else seconds until there is."""
        name, now = _network(address), self._clock.monotonic()
        count, last = self._spent.get(name, (0, now))
        if now - last >= PAUSE_S:
            count = 0
        if count >= MAX_TRIES:
            return max(1, math.ceil(last + PAUSE_S - now))
        self._spent[name] = (count + 1, now)
        self._spent.move_to_end(name)
        if len(self._spent) > MAX_ADDRESSES:
            self._spent.popitem(last=False)
        return 0

    def forget(self, address: str | None) -> None:
        """The password was right."""
        self._spent.pop(_network(address), None)


def _network(address: str | None) -> str:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))
