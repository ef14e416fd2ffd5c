"""What a producer knows of how much it may append: from its last look, and what it has appended since. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from redis.exceptions import NoPermissionError

from pipeline.storage import keys
from pipeline.storage.verdict import NO_VERDICT, Verdict

LOOK_EVERY = 1_000
LOOK_S = 1.0
"""Events that a producer appends, and seconds that pass, at most between two looks at whether it may append."""
LOOK = (("XLEN", keys.RAW), ("GET", keys.VERDICT))
"""The commands of a look."""


class Admission:
    """Refuses what the splitter refuses, and what would make a long raw stream longer: that needs no splitter."""

    def __init__(self, bound: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`bound`: entries in the raw stream from which on nothing is appended."""
        self.backlog = 0
        self._bound = bound
        self._monotonic = monotonic
        self._verdict = NO_VERDICT
        self._left = 0
        self._until = 0.0

    @property
    def is_old(self) -> bool:
        """Whether to look before more is appended."""
        return self._left <= 0 or self._monotonic() >= self._until

    def looked(self, replies: Sequence[Any]) -> None:
        """What the commands of a look said. Who may only append may be forbidden to ask, and is refused by Redis alone.

        Raises:
            redis.exceptions.RedisError: one of them failed for another reason.
        """
        for one in replies:
            if isinstance(one, BaseException) and not isinstance(one, NoPermissionError):
                raise one
        length, text = (None if isinstance(one, BaseException) else one for one in replies)
        self.backlog, self._verdict = int(length or 0), Verdict.decode(text)
        self._left = min(LOOK_EVERY, self._bound - self.backlog)
        self._until = self._monotonic() + LOOK_S

    def why_not(self, account: str, raws: Iterable[bytes]) -> str | None:
        """Why these events must not be appended now; None when they may."""
        if self.backlog >= self._bound:
            return f"{self.backlog} events wait in the raw stream already"
        return self._verdict.why_not(account, raws)

    def took(self, events: int, backlog: int | None = None) -> None:
        """So many were appended, and there are so many in the raw stream now."""
        self._left -= events
        self.backlog = self.backlog if backlog is None else backlog
