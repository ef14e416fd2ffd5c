"""What waits, for whichever face asks: which mailboxes are meant, and to try them now or drop their events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import redis.asyncio

from pipeline.clock import Clock
from pipeline.deadletters.audit import Act
from pipeline.deadletters.replays import check_growth
from pipeline.errors import SailpipeError
from pipeline.events.models import Lane
from pipeline.settings import AccountSettings
from pipeline.status.let_go import DROPPED, RELEASED, doomed_events, drop, release
from pipeline.status.mailboxes import CAUSES
from pipeline.status.waiting import Waiting, read_waiting


class NotMeant(SailpipeError):
    """What waits for this cause cannot be let go, or dropped; the sentence says which can."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which mailboxes are meant; None asks nothing. cause: one of CAUSES, of their first event. user: whose."""

    cause: str | None = None
    lane: Lane | None = None
    user: str | None = None

    def in_words(self) -> str:
        """For the audit trail, which names no person."""
        parts = ["waiting" if self.cause is None else f"waiting for {self.cause}"]
        parts += [] if self.lane is None else [f"in {self.lane.value}"]
        parts += [] if self.user is None else ["of one person"]
        return " ".join(parts)


def check_cause(cause: str | None) -> None:
    """Raises NotMeant for what is no cause."""
    if cause is not None and cause not in CAUSES:
        raise NotMeant(f"What waits, waits for one of {', '.join(CAUSES)}.")


def check_release(cause: str | None) -> None:
    """Raises NotMeant where what waits for the cause cannot be tried sooner."""
    if cause not in RELEASED:
        raise NotMeant(f"What can be tried now waits for one of {', '.join(RELEASED)}.")


def check_drop(cause: str | None) -> None:
    """Raises NotMeant where what waits for the cause cannot be removed."""
    if cause not in DROPPED:
        raise NotMeant(f"What can be removed waits for one of {', '.join(DROPPED)}.")


async def find_waiting(
    client: redis.asyncio.Redis, settings: AccountSettings, wanted: Wanted
) -> Waiting:
    """The mailboxes that are meant."""
    lanes = Lane if wanted.lane is None else [wanted.lane]
    found = await read_waiting(client, settings, lanes)
    boxes = tuple(
        box
        for box in found.boxes
        if wanted.cause in (None, box.why) and wanted.user in (None, box.user)
    )
    return Waiting(boxes, found.complete)


def doomed_of(found: Waiting) -> int:
    """How many events go when what waits there is dropped. No I/O."""
    return sum(map(doomed_events, found.boxes))


async def release_waiting(
    client: redis.asyncio.Redis,
    settings: AccountSettings,
    wanted: Wanted,
    by: str,
    on_done: Callable[[int], None] = lambda _: None,
) -> Act:
    """Let what waits be tried now; the act's count is how many mailboxes still waited. Raises NotMeant."""
    check_release(wanted.cause)
    found = await find_waiting(client, settings, wanted)
    done = await release(client, settings.name, found.boxes, on_done)
    return Act(by, "release", wanted.in_words(), done)


async def drop_waiting(
    client: redis.asyncio.Redis,
    settings: AccountSettings,
    wanted: Wanted,
    shown: int,
    by: str,
    clock: Clock,
    why: str = "",
    on_done: Callable[[int], None] = lambda _: None,
) -> Act:
    """Remove what waits; the act's count is how many events went.

    Raises:
        NotMeant: what waits for this cause cannot be removed.
        Refused: there are 10 % more events than `shown` by now.
    """
    check_drop(wanted.cause)
    found = await find_waiting(client, settings, wanted)
    check_growth(shown, doomed_of(found), "events")
    done = await drop(client, settings, found.boxes, clock, on_done)
    return Act(by, "drop", wanted.in_words(), done, why)
