"""How many requests were refused lately: from what the total was in each of the last minutes. No I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, TypeAlias

REFUSED_WITHIN_MS: Final = 300_000
"""How far back `lately` goes (ms)."""
Mark: TypeAlias = Sequence[int]
"""When (Unix ms), and how many requests had been refused by then."""


def read_marks(stored: bytes | None, now_ms: int) -> list[Mark]:
    """The marks that are not too old, the oldest first. stored: JSON, None where no process has written any."""
    marks: list[Mark] = json.loads(stored or b"[]")
    return [one for one in marks if now_ms - one[0] <= REFUSED_WITHIN_MS]


def refused_since(marks: Sequence[Mark], total: int) -> int:
    """Requests that were refused since the oldest mark. total: how many there are now."""
    return max(0, total - marks[0][1]) if marks else 0
