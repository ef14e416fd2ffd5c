"""Calls that a dry run would have made."""

from __future__ import annotations

from pipeline.dryrun.calls import KeptCall, KeptCalls
from pipeline.forget.person import Whose
from pipeline.forget.spaces import Space
from pipeline.forget.work import Work
from pipeline.storage import keys

AT_ONCE = 500


async def sweep_dry_calls(work: Work) -> None:
    """The mailbox of a call says whose it is; of one without, whom it names to Sailthru."""
    theirs: list[str] = []
    async for call in KeptCalls(work.redis, work.account).read():
        whose = _whose(work, call)
        if whose is Whose.THEIRS:
            theirs.append(call.at)
        work.see(Space.DRY_CALLS, theirs=whose is Whose.THEIRS, named=whose is Whose.NAMED)
    if work.removes:
        for start in range(0, len(theirs), AT_ONCE):
            await work.redis.xdel(keys.dry_calls(work.account), *theirs[start : start + AT_ONCE])


def _whose(work: Work, call: KeptCall) -> Whose:
    if call.user:
        if work.person.is_named(call.user):
            return Whose.THEIRS
        is_named = any(map(work.person.is_named, call.people))
        return Whose.NAMED if is_named else Whose.NEITHER
    return Whose.THEIRS if any(map(work.person.is_named, call.people)) else Whose.NEITHER
