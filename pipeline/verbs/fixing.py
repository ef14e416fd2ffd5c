"""Makes the same changes in many dead letters, for whichever face asks: a sample first, then all that were shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import redis.asyncio

from pipeline.deadletters.edits import (
    Change,
    Set,
    Unset,
    read_cast,
    read_path,
    read_rename,
    read_set,
)
from pipeline.deadletters.filters import Selection
from pipeline.deadletters.fixing import SAMPLES, Fixed, fix
from pipeline.deadletters.mending import Mending
from pipeline.deadletters.replays import Refused, check_growth
from pipeline.deadletters.store import DeadLetters
from pipeline.settings import AccountSettings

MAX_FIXED: Final = 2_000
"""Letters that one request over HTTP fixes: some seconds. The command line has no such bound."""
RULES: Final = ("set", "unset", "rename", "cast")


def read_rule(kind: str, path: str, value: str) -> Change:
    """One change as a form has it: what to do, to which field, and its value, new path or kind. Raises BadChange."""
    match kind:
        case "set":
            return read_set(f"{path}={value}")
        case "unset":
            return Unset(read_path(path))
        case "rename":
            return read_rename(f"{path}={value}")
        case _:
            return read_cast(f"{path}={value}")


def read_rules(
    renames: Mapping[str, str],
    sets: Mapping[str, Any],
    casts: Mapping[str, str],
    unsets: Sequence[str],
) -> list[Change]:
    """Changes as JSON has them, by path, in the order in which the command line makes them. Raises BadChange."""
    return [
        *(read_rename(f"{old}={new}") for old, new in renames.items()),
        *(Set(read_path(path), value) for path, value in sets.items()),
        *(read_cast(f"{path}={kind}") for path, kind in casts.items()),
        *(Unset(read_path(path)) for path in unsets),
    ]


async def sample_fix(
    letters: DeadLetters,
    chosen: Selection,
    changes: Sequence[Change],
    settings: AccountSettings,
    now: float,
) -> Fixed:
    """What the changes make of the first SAMPLES letters; nothing is written."""
    ids = list(islice(chosen.ids, SAMPLES))
    return await fix(letters, ids, changes, settings, now, mending=None)


async def fix_shown(
    client: redis.asyncio.Redis,
    chosen: Selection,
    shown: int,
    changes: Sequence[Change],
    settings: AccountSettings,
    now: float,
) -> Fixed:
    """Write the changes into all these letters. May be repeated.

    Raises Refused when they are more than MAX_FIXED, or 10 % more than were shown.
    """
    count = len(chosen.ids)
    check_growth(shown, count)
    if count > MAX_FIXED:
        raise Refused(
            f"These are {count} letters; at most {MAX_FIXED} are fixed here at once: narrow the filter, or use"
            " `sailpipe dead fix`."
        )
    letters, mending = DeadLetters(client, settings.name), Mending(client, settings.name)
    return await fix(letters, chosen.ids, changes, settings, now, mending=mending)
