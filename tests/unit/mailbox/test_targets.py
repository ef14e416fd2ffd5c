"""Whose events are leased: an account belongs to the target that first delivered any of them."""

from __future__ import annotations

from functools import partial

import pytest
import redis.asyncio

from pipeline.events.models import Lane
from pipeline.mailbox.store import MailboxStore
from pipeline.storage import keys
from pipeline.targets import SANDBOX
from tests.support.mailboxes import FAR, LEASE_S, Mailboxes, delivered, identify, track

LIVE = "api.sailthru.com 1a2b-5f3c9e21ab00"
OWNER = keys.target("default")


@pytest.fixture
def live(boxes: Mailboxes) -> MailboxStore:
    """A process that delivers to Sailthru, beside `boxes.store`, which delivers to the sandbox."""
    return boxes.process_of(LIVE)


async def test_the_first_mailbox_that_is_leased_makes_the_account_its_target_s(
    boxes: Mailboxes,
) -> None:
    """A wake-up that finds nothing decides nothing: which process runs first is chance."""
    await boxes.wake(Lane.EVENT)
    assert await boxes.redis.get(OWNER) is None
    await boxes.post(track("m1", "ann"))
    assert (await boxes.wake(Lane.EVENT)).boxes == ("ann",)
    assert await boxes.redis.get(OWNER) == SANDBOX.encode()


async def test_a_process_of_another_target_is_leased_nothing(
    boxes: Mailboxes, live: MailboxStore
) -> None:
    """What waits for the sandbox is leased to no process of Sailthru's, in any lane; the sandbox's own process goes on."""
    await boxes.post(track("m1", "ann"), identify("m2", "bob"))
    await boxes.wake(Lane.EVENT)
    for lane in (Lane.EVENT, Lane.USER):
        leased = await live.wake(lane, bound=9, max_queue_length=FAR, own_tick=0)
        assert (leased.gate, leased.owner, leased.boxes) == ("foreign", SANDBOX, ())
    assert (await boxes.wake(Lane.USER)).boxes == ("bob",)


async def test_a_key_that_is_listed_beside_the_first_is_the_same_target(
    boxes: Mailboxes,
) -> None:
    """While an API key is changed, processes lease whichever of their keys the account was delivered with, and write
    down the one that they use: afterwards the old one need not be listed."""
    new = "api.sailthru.com 9f8e-77aa00bb11cc"
    before, after = boxes.process_of(f"{LIVE}\n{new}"), boxes.process_of(f"{new}\n{LIVE}")
    ways = [(before, LIVE, after), (after, new, before)] * 2
    for number, (process, name, other) in enumerate(ways):
        await boxes.post(track(f"m{number}", "ann"))
        leased = await process.wake(Lane.EVENT, bound=9, max_queue_length=FAR, own_tick=0)
        assert leased.boxes == ("ann",)
        assert await boxes.redis.get(OWNER) == name.encode()
        claim = await other.claim(Lane.EVENT, "ann", most=40)
        assert claim is not None
        await other.settle(delivered(claim, back=True))
    only = boxes.process_of(new)
    assert (await only.wake(Lane.EVENT, bound=9, max_queue_length=FAR, own_tick=0)).gate == "open"
    longer = boxes.process_of(f"{new}0")
    leased = await longer.wake(Lane.EVENT, bound=9, max_queue_length=FAR, own_tick=0)
    assert leased.gate == "foreign"


async def test_a_claim_by_a_process_of_another_target_gives_the_mailbox_back(
    boxes: Mailboxes, live: MailboxStore
) -> None:
    """All targets' processes consume the same Celery queues. It is no strike, and leased again at once."""
    await boxes.post(track("m1", "ann"))
    await boxes.wake(Lane.EVENT)
    assert await live.claim(Lane.EVENT, "ann", most=40) is None
    assert (await boxes.leased(Lane.EVENT), await boxes.due(Lane.EVENT)) == ({}, {"ann": 0})
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    assert claim.strikes == 0
    assert await live.claim(Lane.EVENT, "ann", most=40) is None, "owned"
    await boxes.store.settle(delivered(claim, back=True))
    assert await boxes.counts() == {"delivered": 1}


async def test_a_queue_from_which_another_target_s_process_takes_is_published_nothing_for_a_minute(
    boxes: Mailboxes, live: MailboxStore
) -> None:
    """Who takes a message is chance, and can be the wrong process again and again: the right one delivers by itself."""
    await boxes.post(track("m1", "ann"), identify("m2", "ann"))
    assert (await boxes.wake(Lane.EVENT)).in_process == ""
    assert await live.claim(Lane.EVENT, "ann", most=40) is None
    wake = partial(boxes.store.wake, Lane.EVENT, bound=9, max_queue_length=FAR, own_tick=0)
    elsewhere = await wake(serves=False)
    assert (elsewhere.in_process, elsewhere.boxes) == ("shared", ())
    here = await wake(serves=True)
    assert (here.in_process, here.boxes) == ("shared", ("ann",))
    assert (await boxes.wake(Lane.USER)).in_process == "", "another lane's queue"
    boxes.clock.advance(59.999)
    assert (await boxes.wake(Lane.EVENT)).in_process == "shared"
    boxes.clock.advance(0.001)
    assert (await boxes.wake(Lane.EVENT)).in_process == ""


async def test_time_in_which_only_other_targets_processes_run_counts_towards_no_deadline(
    boxes: Mailboxes, live: MailboxStore
) -> None:
    """I5: an order of the trial waits for a person's word, maybe for days, and is not too old then."""
    await boxes.post(track("m1", "ann"), track("m2", "bob"))
    await boxes.wake(Lane.EVENT, bound=1)
    wake = partial(live.wake, Lane.EVENT, bound=9, max_queue_length=FAR, own_tick=0)
    boxes.clock.advance(LEASE_S + 1)
    await wake()
    for _ in range(48):
        boxes.clock.advance(3600)
        await wake()
    claim = await boxes.lease_and_claim(Lane.EVENT, "bob")
    assert (claim.clock - claim.head.clock) / 1000 == pytest.approx(LEASE_S + 1)


async def test_a_lane_s_clock_runs_while_its_own_processes_wake_it(
    boxes: Mailboxes, live: MailboxStore
) -> None:
    """Wake-ups by processes of other targets change nothing, however many there are."""
    await boxes.post(track("m1", "ann"))
    for _ in range(5):
        leased = await boxes.wake(Lane.EVENT)
        await live.wake(Lane.EVENT, bound=9, max_queue_length=FAR, own_tick=0)
        boxes.clock.advance(LEASE_S)
    assert leased.gate == "open"
    assert await boxes.redis.hget(keys.lane("default", Lane.EVENT), "stopped") == b"0"


async def test_an_account_finds_its_target_in_a_full_redis(redis_url: str) -> None:
    """Only what is delivered makes room, so that the first leased mailbox must be leased all the same."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        boxes = Mailboxes(client)
        live = boxes.process_of(LIVE)
        await boxes.post(track("m1", "ann"))
        await client.config_set("maxmemory", "1")
        try:
            assert (await boxes.wake(Lane.EVENT)).boxes == ("ann",)
            assert (await live.wake(Lane.EVENT, bound=9, max_queue_length=FAR, own_tick=0)).owner
            assert await live.claim(Lane.EVENT, "ann", most=40) is None
        finally:
            await client.config_set("maxmemory", "0")
        assert await client.get(OWNER) == SANDBOX.encode()
        assert await boxes.due(Lane.EVENT) == {"ann": 0}
