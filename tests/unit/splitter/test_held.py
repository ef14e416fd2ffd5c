"""Events of an account that the splitter's settings do not name: they wait for a splitter that knows it."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
import redis.asyncio

from pipeline.events.models import Lane
from pipeline.ownership.reset import Emptied, reset
from pipeline.settings import AccountSettings
from pipeline.splitter import loop
from pipeline.splitter.held import HELD_FOR_MS, LOOK_S
from pipeline.storage import keys
from pipeline.storage.numbers import HELD_MOST
from tests.support.key_table import check_keys
from tests.support.mailboxes import Mailboxes, track

DAY_S = HELD_FOR_MS / 1000


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A splitter that has nothing to do returns at once."""
    for name in ("LINGER_S", "LOOK_S", "STAND_BY_S"):
        monkeypatch.setattr(loop, name, 0.0)
    monkeypatch.setattr(loop, "BLOCK_MS", 1)


def knowing(boxes: Mailboxes, *names: str) -> Mailboxes:
    """The same Redis with a splitter, not the one before, that knows these accounts."""
    accounts = [AccountSettings(name=name) for name in ("default", *names)]
    other = Mailboxes(boxes.redis, *accounts, splitter=" ".join(("knows", *names)))
    other.clock.advance(boxes.clock.now() - other.clock.now())
    return other


async def hand_over(boxes: Mailboxes, *names: str) -> Mailboxes:
    """This splitter stops, and one that knows these accounts begins."""
    await boxes.splitter.release()
    after = knowing(boxes, *names)
    await after.splitter.turn()
    return after


async def held(boxes: Mailboxes) -> int:
    return int(await boxes.redis.xlen(keys.HELD))


async def mail(boxes: Mailboxes, account: str, lane: Lane, box: str) -> list[Any]:
    found: Any = await boxes.redis.lrange(keys.mail(account, lane, box), 0, -1)
    return [blob.partition(b"\n")[0] for blob in found]


async def test_events_of_an_account_that_the_splitter_does_not_know_wait_for_one_that_does(
    boxes_in_both: Mailboxes,
) -> None:
    """Whoever adds an account restarts processes in some order. In the order in which they came, nothing lost."""
    boxes = boxes_in_both
    await boxes.accept(*(track(f"m{n}", "bob") for n in range(3)), account="shoes")
    await boxes.accept(track("m9", "ann"))
    await boxes.split()
    assert (await held(boxes), await boxes.backlog(), await boxes.dead()) == (3, 0, {})
    assert await boxes.mail(Lane.EVENT, "ann") == ["m9"]
    await check_keys(boxes.redis)
    after = await hand_over(boxes, "shoes")
    await after.split()
    heads = await mail(after, "shoes", Lane.EVENT, "bob")
    assert [head[head.index(b'"id":') :][:9] for head in heads] == [
        b'"id":"m%d"' % n for n in range(3)
    ]
    assert (await held(after), await after.backlog(), await after.dead()) == (0, 0, {})


async def test_what_an_entry_says_of_itself_is_kept(boxes: Mailboxes) -> None:
    """A page's event is one afterwards, and an import's is bulk. What no producer should say is not kept."""
    labels = {"account": "shoes", "class": "bulk", "role": "browser", "more": "x" * 99}
    await boxes.accept(track("m1", "bob"), **labels)
    await boxes.split()
    found: Any = await boxes.redis.xrange(keys.HELD)
    [(_, fields)] = found
    assert fields.keys() == {b"held", b"event", b"account", b"class", b"role"}
    after = await hand_over(boxes, "shoes")
    await after.split()
    assert await after.redis.zrange(keys.due_bulk("shoes", Lane.EVENT), 0, -1) == [b"bob"]
    [head] = await mail(after, "shoes", Lane.EVENT, "bob")
    assert b'"role":"browser"' in head


async def test_after_a_day_they_are_dead_letters_that_replay_to_their_own(boxes: Mailboxes) -> None:
    """Another brand's event never reaches the default account's customers, nor its dedupe."""
    await boxes.post(track("m1", "ann"))
    await boxes.accept(track("m1", "bob"), account="shoes")
    await boxes.split()
    boxes.clock.advance(DAY_S - LOOK_S)
    await boxes.splitter.turn()
    assert (await held(boxes), await boxes.dead()) == (1, {})
    boxes.clock.advance(LOOK_S)
    await boxes.splitter.turn()
    [died] = (await boxes.dead()).values()
    assert (died["reason"], died["account"]) == ("invalid_event", "shoes")
    assert await held(boxes) == 0
    await boxes.moves.replay(["m1"])
    after = await hand_over(boxes, "shoes")
    assert await after.counts() == {"waiting:event": 1}
    assert len(await mail(after, "shoes", Lane.EVENT, "bob")) == 1


async def test_splitters_that_disagree_about_an_account_start_no_new_day(boxes: Mailboxes) -> None:
    """What one gives back the other holds again, since when it was first held."""
    await boxes.accept(track("m1", "bob"), account="shoes")
    await boxes.split()
    boxes.clock.advance(DAY_S / 2)
    await boxes.splitter.release()
    knows = knowing(boxes, "shoes")
    assert await knows.splitter.hold_lease()
    await knows.splitter._held.give_back()
    await knows.splitter.release()
    assert (await boxes.split(), await held(boxes)) == (1, 1)
    boxes.clock.advance(DAY_S / 2)
    await boxes.splitter.turn()
    assert len(await boxes.dead()) == 1


async def test_a_splitter_that_stood_by_looks_anew(boxes: Mailboxes) -> None:
    """The other one, whose settings are older, may have held events meanwhile."""
    knows = knowing(boxes, "shoes")
    await knows.splitter.turn()
    await knows.splitter.release()
    await boxes.accept(track("m1", "bob"), account="shoes")
    await boxes.split()
    await knows.splitter.turn()
    await boxes.splitter.release()
    await knows.splitter.turn()
    assert len(await mail(knows, "shoes", Lane.EVENT, "bob")) == 1


async def test_what_no_account_could_take_dies_at_once(boxes: Mailboxes) -> None:
    """The time of its wait would change nothing."""
    await boxes.accept({"messageId": "m1", "type": "nonsense"}, account="shoes")
    await boxes.split()
    assert (await held(boxes), len(await boxes.dead())) == (0, 1)


async def test_no_more_are_held_than_a_mistake_may_cost(redis_url: str) -> None:
    """A producer that has misspelt its account sends for hours: the others are dead letters, which are trimmed."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        boxes = Mailboxes(client)
        async with client.pipeline(transaction=False) as pipe:
            for _ in range(HELD_MOST - 1):
                pipe.xadd(keys.HELD, {"held": boxes.now_ms(), "event": "{}", "account": "shop"})
            await pipe.execute()
        await boxes.accept(track("m1", "bob"), track("m2", "bob"), account="shoes")
        await boxes.split()
        assert (await held(boxes), list(await boxes.dead())) == (HELD_MOST, ["m2"])


async def test_a_reset_removes_what_is_held_for_its_account() -> None:
    """Also of the default account, whose dead letters they would be."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis())
    for account in ("shoes", "hats", "hats"):
        await boxes.accept(track("m1", "bob"), account=account)
    await boxes.split()
    assert await reset(boxes.redis, "shoes", ["default"], lambda _: None) == Emptied(events=1)
    assert await reset(boxes.redis, "default", ["shoes"], lambda _: None) == Emptied(events=2)
    assert await held(boxes) == 0


async def test_each_account_is_said_once(
    boxes: Mailboxes, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no more than some: their names are the producers' to choose."""
    for accounts in (["shoes"], ["shoes", *(f"a{n}" for n in range(30))], ["shoes"]):
        for account in accounts:
            await boxes.accept(track("m1", "bob"), account=account)
        await boxes.split()
    said = "".join(capsys.readouterr())
    assert said.count("account_unknown") == 20
    assert said.count("account=shoes") == 1
