"""`reset`: nothing of a trial is left, nothing else is touched, and running workers do no harm."""

from __future__ import annotations

import base64
import json
from typing import Any

import fakeredis
import pytest
import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.deadletters.states import GroupState, GroupStates
from pipeline.deadletters.views import SavedViews
from pipeline.errors import StaleClaim
from pipeline.events.models import Lane
from pipeline.gates.gates import Closure
from pipeline.mailbox.reservations import Reservation
from pipeline.ownership import keyspace
from pipeline.ownership import reset as resetting
from pipeline.ownership.change import Change
from pipeline.ownership.reset import Emptied, reset
from pipeline.ownership.wakeups import account_of
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from tests.support.mailboxes import FAR, Mailboxes, delivered, identify, letter, order, track

LIVE = "api.sailthru.com 1a2b-5f3c9e21ab00"
STAYS = {
    "counts",
    "limits",
    "slots:POST /event",
    "lane:event",
    "lane:user",
    "lane:purchase",
    "token",
    "reset",
}
"""Names of keys that may be left of an account."""


def ignore(_: int) -> None:
    """The progress is ignored."""


async def empty(boxes: Mailboxes, *others: str) -> Emptied:
    return await reset(boxes.redis, "default", others, ignore)


async def left(boxes: Mailboxes, account: str = "default") -> set[str]:
    prefix = keys.account_prefix(account)
    found: Any = await boxes.redis.keys(f"{prefix}*")
    return {name.decode().removeprefix(prefix) for name in found}


async def make_trial(boxes: Mailboxes) -> None:
    """Something of everything that a trial leaves: ten events."""
    await boxes.post(
        identify("m1", "ann", email="ann@example.com", anonymousId="a-1"),
        *(track(f"m{n}", "ann") for n in range(2, 5)),
        order("m5", "bob"),
        order("m6", "eve"),
        {"messageId": "m7", "type": "nonsense"},
    )
    user = await boxes.lease_and_claim(Lane.USER, "ann")
    await boxes.store.settle(
        delivered(user, learn={"identified": "1"}, cart="[]", cart_keep_ms=60_000, back=True)
    )
    event = await boxes.lease_and_claim(Lane.EVENT, "ann")
    await boxes.store.settle(letter(event))
    bought = await boxes.lease_and_claim(Lane.PURCHASE, "bob")
    await boxes.store.record_intent(bought, "intent", Reservation("o1", "b1", 60_000))
    await boxes.moves.replay(["m2"])
    await boxes.gates.close(Closure("event", "paused", 0, boxes.now_ms()))
    await GroupStates(boxes.redis, "default").set("0123456789ab", GroupState.IGNORED, "ann", "")
    await SavedViews(boxes.redis, "default").save("refused", {"reason": "rejected"})
    await boxes.redis.hset(keys.limits("default"), "POST /event", "80")
    await boxes.redis.set(keys.slots("default", "POST /event"), "used")
    await boxes.accept(track("m8", "ann"), track("m9", "bob"), track("m10", "zoe"))


async def test_nothing_of_a_trial_is_left(boxes: Mailboxes) -> None:
    """What stays are the rate-limit slots, the limits, and the clocks of lanes and claims."""
    await make_trial(boxes)
    assert await empty(boxes) == Emptied(events=8, letters=1)
    assert await left(boxes) <= STAYS
    assert {"limits", "slots:POST /event"} <= await left(boxes)
    assert await boxes.backlog() == 0
    assert await boxes.counts() == {}
    await boxes.post(track("m1", "ann"))
    assert (
        await boxes.process_of(LIVE).wake(Lane.EVENT, bound=9, max_queue_length=FAR, own_tick=0)
    ).boxes
    assert await boxes.redis.get(keys.target("default")) == LIVE.encode()


async def test_owners_of_claims_can_write_nothing_more(boxes: Mailboxes) -> None:
    """What a worker had in hand is gone, and so is what it was about to learn of the old target."""
    await boxes.post(identify("m1", "ann"))
    claim = await boxes.lease_and_claim(Lane.USER, "ann")
    await empty(boxes)
    with pytest.raises(StaleClaim):
        await boxes.store.settle(delivered(claim, learn={"identified": "1"}, back=True))
    assert await left(boxes) <= STAYS
    await boxes.post(identify("m2", "ann"))
    again = await boxes.lease_and_claim(Lane.USER, "ann")
    with pytest.raises(StaleClaim):
        await boxes.store.settle(delivered(claim, back=True))
    assert await boxes.store.settle(delivered(again, back=True)) == 0


async def test_a_batch_that_the_splitter_has_in_hand_goes_nowhere(boxes: Mailboxes) -> None:
    """It was read before the reset and is written after it: events of a trial for the live account."""
    await boxes.accept(track("m1", "ann"), {"messageId": "m2", "type": "nonsense"})
    assert await boxes.splitter.hold_lease()
    assert await empty(boxes) == Emptied(events=2)
    await boxes.accept(track("m3", "ann"))
    assert (await boxes.splitter.step(), await boxes.counts()) == (2, {})
    await boxes.split()
    assert await boxes.mail(Lane.EVENT, "ann") == ["m3"]
    assert await boxes.counts() == {"waiting:event": 1}
    assert await boxes.backlog() == 0


async def test_events_that_arrive_during_a_reset_are_counted_once_and_delivered(
    boxes: Mailboxes,
) -> None:
    """I1: producers and the splitter are never held up; what comes late may survive, and whole."""
    await boxes.post(track("m1", "ann"), track("m2", "bob"))

    async def arrive(*events: dict[str, Any]) -> None:
        await boxes.accept(*events)
        await boxes.split()

    change = Change(boxes.redis, "default", "reset")
    await change.begin()
    work = resetting._Reset(change, (), ignore)
    await work.cut_raw_stream()
    await arrive(track("m3", "ann"), track("m4", "eve"))
    await work.empty_mailboxes()
    await arrive(track("m5", "ann"))
    await work.drop_letters()
    await work.forget()
    await arrive(track("m6", "eve"), {"messageId": "m7", "type": "nonsense"})
    await change.scripts.run("recount", [change.prefix], [])
    await change.end(None)
    assert await boxes.counts() == {"waiting:event": 2, "dead:invalid_event": 1}
    assert await boxes.mail(Lane.EVENT, "ann") == ["m5"]
    assert await boxes.mail(Lane.EVENT, "eve") == ["m6"]
    assert set((await boxes.wake(Lane.EVENT)).boxes) == {"ann", "eve"}


@given(
    names=st.permutations(["waiting:event", "waiting:user", "dead:poison", "dead:too_old", "sent"])
)
async def test_the_counters_that_a_reset_leaves_are_those_of_what_is_still_there(
    names: list[str],
) -> None:
    """Whatever lies beside them."""
    counts = {"waiting:event": 2, "waiting:user": 0, "dead:poison": 1, "dead:too_old": 0, "sent": 5}
    client: Any = fakeredis.FakeAsyncRedis()
    change = Change(client, "default", "reset")
    await client.hset(keys.counts("default"), mapping={name: counts[name] for name in names})
    await change.scripts.run("recount", [change.prefix], [])
    assert await client.hgetall(keys.counts("default")) == {
        b"waiting:event": b"2",
        b"dead:poison": b"1",
    }


async def test_no_process_delivers_until_reset_has_ended(boxes: Mailboxes) -> None:
    """Interrupted, it is run again; whose the account was is not forgotten by that."""
    await boxes.post(track("m1", "ann"), track("m2", "bob"))
    await boxes.wake(Lane.EVENT, bound=1)
    await Change(boxes.redis, "default", "reset").begin()
    for target in ("sandbox", LIVE):
        leased = await boxes.process_of(target).wake(
            Lane.EVENT, bound=9, max_queue_length=FAR, own_tick=0
        )
        assert (leased.gate, leased.owner) == ("foreign", "reset/sandbox")
    assert await empty(boxes) == Emptied(events=2)
    assert await boxes.redis.get(keys.target("default")) is None


@given(
    entries=st.lists(st.sampled_from(["", "default", "shoes", "default2", "hats"]), max_size=20),
    account=st.sampled_from(["default", "shoes"]),
    step=st.integers(1, 6),
)
@settings(max_examples=60)
async def test_other_accounts_are_not_touched(entries: list[str], account: str, step: int) -> None:
    """In the raw stream each keeps its entries, in order; what names no account that is configured is the
    default one's."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis(), AccountSettings(), AccountSettings(name="shoes"))
    others = {"default": {"shoes"}, "shoes": {"default"}}[account]
    expected = []
    for number, name in enumerate(entries):
        sid = await boxes.accept_raw({"event": f"{number}"} | ({"account": name} if name else {}))
        goes = (name == "shoes") == (account == "shoes")
        expected += [] if goes else [sid]
    theirs = {
        f"sailpipe:{other}:{rest}"
        for other in (*others, f"{account}2")
        for rest in ("user:a", "counts", "target")
    }
    for name in theirs:
        await boxes.redis.set(name, "kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resetting, "RAW_ENTRIES", step)
        patch.setattr(keyspace, "BOXES", step)
        gone = await reset(boxes.redis, account, others, ignore)
    raw: Any = await boxes.redis.xrange(keys.RAW)
    assert [sid.decode() for sid, _ in raw] == expected
    assert gone == Emptied(events=len(entries) - len(expected))
    assert {name for name in theirs if await boxes.redis.exists(name)} == theirs


async def test_a_full_redis_can_be_emptied(redis_url: str) -> None:
    """A trial that has filled it is what a person most wants to be rid of."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        boxes = Mailboxes(client)
        await make_trial(boxes)
        await client.config_set("maxmemory", "1")
        try:
            assert await empty(boxes) == Emptied(events=8, letters=1)
        finally:
            await client.config_set("maxmemory", "0")
        assert await left(boxes) <= STAYS


async def test_the_cut_is_forgotten_once_no_splitter_can_have_a_batch_in_hand(
    boxes: Mailboxes,
) -> None:
    """It costs a look at every batch, and nothing is to be left for good."""
    await boxes.post(track("m1", "ann"))
    await boxes.accept(track("m2", "ann"))
    await empty(boxes)
    assert 50_000 < await boxes.redis.pttl(keys.reset_cut("default")) <= 60_000


def message(body: object) -> bytes:
    """As kombu packs a task's arguments."""
    return json.dumps({"body": base64.b64encode(json.dumps(body).encode()).decode()}).encode()


@pytest.mark.parametrize(
    ("message", "account"),
    [
        (message([["default", "event", ["ann"]], {}, {}]), "default"),
        (message([[], {}, {}]), None),
        (message([]), None),
        (message({}), None),
        (message([[7], {}, {}]), None),
        (b'{"body": 7}', None),
        (b"[]", None),
        (b"no json", None),
    ],
)
def test_a_wake_up_is_known_by_its_account(message: bytes, account: str | None) -> None:
    """Whatever else lies in the queue is left there."""
    assert account_of(message) == account
