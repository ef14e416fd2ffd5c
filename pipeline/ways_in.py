"""By which way an event came, as its raw entry says it in the field `via`. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class WayIn(StrEnum):
    """A way of an event. Any writer to Redis may write any of them: it is told to people, and decides nothing."""

    PYTHON = "python"
    FILE = "file"
    SEGMENT = "segment"
    SAILTHRU = "sailthru"
    VIBETRACE = "vibetrace"
    WEBHOOK = "webhook"
    CONSOLE = "console"
    REDIS = "redis"
    REPLAY = "replay"

    @classmethod
    def read(cls, text: bytes | str | None) -> WayIn:
        """As a raw entry or a mailbox entry says it. Without it, and with one that is not known, `redis`."""
        return KNOWN_WAYS.get(text, cls.REDIS)

    @property
    def said(self) -> str:
        """What an entry says of it: nothing for a plain XADD."""
        return "" if self is WayIn.REDIS else self.value


KNOWN_WAYS: Mapping[bytes | str | None, WayIn] = MappingProxyType(
    {text: way for way in WayIn for text in (way.value, way.value.encode())}
)
"""What `WayIn.read` knows. The splitter asks it of each entry."""
