"""To make the same changes in many dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.deadletters.edits import BadChange, Change
from pipeline.deadletters.mending import ChangedMeanwhile, Mended, Mending, mend
from pipeline.deadletters.store import DeadLetters
from pipeline.settings import AccountSettings

SAMPLES = 20
"""Letters whose changes are shown before anything is written."""


@dataclass(slots=True)
class Fixed:
    """What became of the letters: changed, as they were already, gone or changed by another meanwhile, and refused
    (each sentence once, with how many)."""

    changed: int = 0
    unchanged: int = 0
    gone: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    samples: list[Mended] = field(default_factory=list)


async def fix(
    letters: DeadLetters,
    ids: Sequence[str],
    changes: Sequence[Change],
    settings: AccountSettings,
    now: float,
    *,
    mending: Mending | None,
    on_done: Callable[[int], None] = lambda _: None,
) -> Fixed:
    """Make these changes in each letter; without `mending` only see what they would be. `now`: Unix seconds.

    A letter in which a change cannot be made stays as it is. Connection errors propagate; it may be repeated.
    """
    found = Fixed(gone=len(ids))
    async for letter in letters.read(ids):
        found.gone -= 1
        on_done(1)
        try:
            mended = mend(letter, changes, settings, now)
            if mended.is_changed and mending is not None:
                await mending.write(mended)
        except BadChange as error:
            found.refused[str(error).replace(letter.id, "It")] += 1
            continue
        except ChangedMeanwhile:
            found.gone += 1
            continue
        if not mended.is_changed:
            found.unchanged += 1
            continue
        found.changed += 1
        if len(found.samples) < SAMPLES:
            found.samples.append(mended)
    return found
