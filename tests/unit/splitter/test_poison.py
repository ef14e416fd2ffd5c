"""Entries that end the process that splits them: what their deaths count against, and what they don't."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import count
from typing import Any

import fakeredis
import pytest

from pipeline.events.models import Lane
from pipeline.settings import AccountSettings
from pipeline.splitter.entries import Configured, RawEntry, Read
from pipeline.splitter.loop import Splitter
from pipeline.splitter.triage import read
from pipeline.storage import keys
from pipeline.storage.numbers import POISON_AFTER, SINGLY_AFTER
from tests.support.fake_sailthru import Killed
from tests.support.mailboxes import Mailboxes, track

MAX_DEATHS = POISON_AFTER + SINGLY_AFTER
"""Until it is alone at the head, and then until it is given up."""
MANY = 5 * MAX_DEATHS


@pytest.fixture
def boxes(boxes_in_both: Mailboxes) -> Mailboxes:
    return boxes_in_both


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """A splitter that reads an entry with one of these dies."""
    marks = {b"bad"}

    def deadly_read(entry: RawEntry, accounts: Mapping[str, Configured]) -> Read:
        if any(mark in entry.raw for mark in marks):
            raise Killed
        return read(entry, accounts)

    monkeypatch.setattr("pipeline.splitter.loop.read", deadly_read)
    return marks


TOKENS = count()


async def take_over(boxes: Mailboxes) -> Splitter:
    """Another process, after the lease of the one before it has run out."""
    await boxes.redis.delete(keys.SPLITTER)
    splitter = boxes.make_splitter(f"process {next(TOKENS)}")
    assert await splitter.hold_lease()
    return splitter


async def split_all(boxes: Mailboxes) -> int:
    """Processes split one after the other until nothing is left; returns how many died."""
    for deaths in range(MANY):
        splitter = await take_over(boxes)
        try:
            while await splitter.step():
                assert await splitter.hold_lease()
        except Killed:
            continue
        return deaths
    pytest.fail("they die again and again")


async def reasons(boxes: Mailboxes, account: str = "default") -> dict[str, str]:
    return {name: one["reason"] for name, one in (await boxes.dead(account)).items()}


@pytest.mark.usefixtures("deadly")
async def test_only_the_culprit_dies_of_poison(boxes: Mailboxes) -> None:
    """It kills the splitter that reads it, in the middle of a batch; all others are split once, in order."""
    before, behind = [f"m{n}" for n in range(60)], [f"m{n}" for n in range(60, 300)]
    await boxes.accept(*(track(name, "ann") for name in before))
    bad = await boxes.accept_raw({"event": b"\xffbad {"})
    await boxes.accept(*(track(name, "ann") for name in behind))

    assert await split_all(boxes) == MAX_DEATHS

    assert await boxes.mail(Lane.EVENT, "ann") == before + behind
    letter = (await boxes.dead())[bad]
    assert (letter["reason"], letter["raw"]) == ("poison", b"\xffbad {")
    assert letter["detail"] == "5 splits of it ended with a dead or hanging worker"
    assert await boxes.counts() == {"waiting:event": 300, "dead:poison": 1}


@pytest.mark.usefixtures("deadly")
async def test_each_of_several_culprits_dies_and_nothing_between_them(boxes: Mailboxes) -> None:
    """Side by side or far apart: each is given up on its own."""
    names = ["bad-1", "m1", "bad-2", "bad-3", *(f"m{n}" for n in range(2, 220)), "bad-4"]
    await boxes.accept(*(track(name, "ann") for name in names))
    deaths = await split_all(boxes)
    assert await boxes.mail(Lane.EVENT, "ann") == [f"m{n}" for n in range(1, 220)]
    assert list((await reasons(boxes)).values()) == ["poison"] * 4
    assert deaths <= 4 * MAX_DEATHS


@pytest.mark.usefixtures("deadly")
async def test_a_culprit_that_comes_to_an_empty_stream_dies_of_poison(boxes: Mailboxes) -> None:
    """Its first victim took the lease when there was nothing to take note of."""
    idle = await take_over(boxes)
    await boxes.accept(track("bad", "ann"))
    with pytest.raises(Killed):
        await idle.step()
    assert await split_all(boxes) == POISON_AFTER
    assert list((await reasons(boxes)).values()) == ["poison"]


@pytest.mark.usefixtures("deadly")
async def test_poison_is_kept_in_the_account_it_names() -> None:
    """The default account keeps letters of accounts that are not configured; the letter names the account."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis(), AccountSettings(), AccountSettings(name="shoes"))
    await boxes.accept(track("bad", "ann"), account="shoes")
    await boxes.accept(track("bad", "ann"), account="hats")
    await split_all(boxes)
    assert list((await reasons(boxes, "shoes")).values()) == ["poison"]
    assert [one["account"] for one in (await boxes.dead()).values()] == ["hats"]


@pytest.mark.usefixtures("deadly")
async def test_a_replayed_letter_that_kills_again_keeps_its_id(boxes: Mailboxes) -> None:
    """Nothing was mended: it is the same letter, once."""
    sid = await boxes.accept_raw({"event": b"bad"})
    await split_all(boxes)
    assert await boxes.moves.replay([sid]) == [sid]
    await split_all(boxes)
    assert await reasons(boxes) == {sid: "poison"}


async def test_progress_clears_strikes(boxes: Mailboxes, deadly: set[bytes]) -> None:
    """Four deaths over one entry and four over the next make no poison."""
    await boxes.accept(track("m1", "ann"), track("m2", "ann"))
    for mark in (b"m1", b"m2"):
        deadly.add(mark)
        for _ in range(POISON_AFTER - 1):
            with pytest.raises(Killed):
                await (await take_over(boxes)).step()
        deadly.discard(mark)
        assert await (await take_over(boxes)).step() == 1
    assert (await boxes.mail(Lane.EVENT, "ann"), await boxes.dead()) == (["m1", "m2"], {})


async def test_a_splitter_that_loses_the_lease_and_lives_is_no_strike(boxes: Mailboxes) -> None:
    """Redis, or the process, was frozen past the lease: others took over, and it asks again."""
    await boxes.accept(track("m1", "ann"), track("m2", "ann"))
    crew = [await take_over(boxes) for _ in range(POISON_AFTER)]
    for _ in range(3):
        for splitter in crew:
            assert await boxes.redis.delete(keys.SPLITTER)
            assert await splitter.hold_lease()
            others = [one for one in crew if one is not splitter]
            assert not any([await one.hold_lease() for one in others])
    assert await (await take_over(boxes)).step() == 2
    assert await boxes.dead() == {}


async def test_a_splitter_that_takes_its_own_lease_again_is_no_strike(boxes: Mailboxes) -> None:
    """Redis freezes again and again: the one death before it is all that counts."""
    await boxes.accept(track("m1", "ann"), track("m2", "ann"))
    await take_over(boxes)
    splitter = await take_over(boxes)
    for _ in range(MANY):
        assert await boxes.redis.delete(keys.SPLITTER)
        assert await splitter.hold_lease()
    assert await splitter.step() == 2


async def test_a_death_with_nothing_to_split_is_no_strike(boxes: Mailboxes) -> None:
    """An entry that comes later has killed no splitter."""
    for _ in range(MANY):
        splitter = await take_over(boxes)
    await boxes.accept(track("m1", "ann"), track("m2", "ann"))
    assert await splitter.step() == 2


async def test_a_splitter_that_stops_gives_the_lease_up_without_a_strike(
    boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment is no death, however often. Another splitter begins at once, with whole batches."""
    await boxes.accept(track("m1", "ann"), track("m2", "ann"))
    with monkeypatch.context() as patch:
        patch.setattr(Splitter, "step", _never_ends)
        for number in range(MANY):
            work = asyncio.create_task(boxes.make_splitter(f"stopped {number}").run())
            while not await boxes.redis.exists(keys.SPLITTER):
                await asyncio.sleep(0)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            assert not await boxes.redis.exists(keys.SPLITTER)
    assert await boxes.split() == 2


async def test_a_splitter_that_crashes_leaves_a_strike(
    boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A panic in native code is no Exception: the task ends, and with it the process."""
    await boxes.accept(track("m1", "ann"), track("m2", "ann"))
    with monkeypatch.context() as patch:
        patch.setattr(Splitter, "step", _panics)
        for number in range(SINGLY_AFTER):
            await boxes.redis.delete(keys.SPLITTER)
            with pytest.raises(Killed):
                await boxes.make_splitter(f"crashed {number}").run()
    assert await (await take_over(boxes)).step() == 1


async def _never_ends(_splitter: Splitter, **_named: Any) -> int:
    await asyncio.Event().wait()
    return 0


async def _panics(_splitter: Splitter, **_named: Any) -> int:
    raise Killed
