"""What people ask of dead letters, at its largest: cases of `benchmarks.script_cases`."""

from __future__ import annotations

from benchmarks.script_shop import BIG, SMALL, Shop
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.deadletters.edits import Set
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.jobs import Jobs
from pipeline.deadletters.mending import Mending, mend
from pipeline.deadletters.runner import LEASE_MS, LETTERS_A_SCRIPT
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from pipeline.storage.numbers import JOB_WATCHED


async def filters(shop: Shop) -> None:
    """Indexes of all lanes and reasons that hold much are merged; letters are read whole; there are many groups."""
    for lane in ("", *Lane):
        for reason in Reason:
            await shop.bury(300, SMALL, lane=lane, reason=reason)
    await shop.bury(200, BIG)
    for wanted in (
        Filter(lane=Lane.EVENT),
        Filter(reason=Reason.REJECTED),
        Filter(match="no such"),
    ):
        await shop.letters.count(wanted)
        await shop.letters.select(wanted)
    await shop.letters.groups(Filter())


async def jobs(shop: Shop) -> None:
    """A job of large letters, some of which were split before; and one of whose letters all are dead again."""
    doing = Jobs(shop.redis, "default")
    large = [*await shop.bury(100, BIG), *await shop.bury(100, BIG, lane="")]
    small = await shop.bury(2 * JOB_WATCHED, SMALL)
    await doing.create("job-0001", [*large, *small], what="all", by="ann")
    await doing.pause("job-0001")
    await doing.resume("job-0001")
    state, total = "running", 0
    while state == "running" and total < len(large) + JOB_WATCHED:
        state, through = await doing.step("job-0001", "me", LEASE_MS, LETTERS_A_SCRIPT)
        total += through
    await doing.watch("job-0001")
    rows = [f'["{name}","none",0]' for name in small[:JOB_WATCHED]]
    await shop.run([("RPUSH", keys.job_sent("default", "job-0001"), *rows)])
    await shop.bury(JOB_WATCHED, SMALL, calls=2_000, names=small[:JOB_WATCHED])
    await doing.watch("job-0001")


async def edits(shop: Shop) -> None:
    """A large event is replaced by another, and it is written down."""
    [name] = await shop.bury(1, BIG)
    letter = await shop.letters.get(name)
    change = Set(("properties", "a"), "y" * 30_000)
    settings = AccountSettings(customer_id="c")
    await Mending(shop.redis, "default").write(mend(letter, [change], settings, 0.0))
    await AuditTrail(shop.redis, "default").record(Act("ann", "edit", "x" * 2_000, 1))


LETTER_CASES = (filters, jobs, edits)
