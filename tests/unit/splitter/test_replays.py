"""Letters that come back through the splitter: replayed refusals, and exported letters that are enqueued."""

from __future__ import annotations

from dataclasses import replace

import fakeredis
import pytest

from pipeline.events.models import Lane
from pipeline.settings import AccountSettings
from tests.support.mailboxes import Mailboxes, letter, order, track


async def kill(boxes: Mailboxes) -> None:
    """Ann's first order dies."""
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    await boxes.store.settle(replace(letter(claim), back=True))


async def test_a_refused_letter_is_split_again(boxes: Mailboxes) -> None:
    """Replaying what had no lane yet sends it through the splitter, which may refuse it again."""
    await boxes.post({"messageId": "m1", "type": "nonsense"})
    assert await boxes.moves.replay(["m1"]) == ["m1"]
    assert (await boxes.counts(), await boxes.backlog()) == ({}, 1)
    await boxes.post({"messageId": "m2", "type": "nonsense"})
    assert set(await boxes.dead()) == {"m1", "m2"}
    assert await boxes.counts() == {"dead:invalid_event": 2}


async def test_an_exported_letter_takes_the_place_of_its_original(boxes: Mailboxes) -> None:
    """Enqueued again it asks no dedupe, and the letter is removed in the same script."""
    await boxes.post(order("m1", "ann"))
    await kill(boxes)
    await boxes.post(order("m1", "ann") | {"sailpipe": {"replay": True}})
    assert await boxes.dead() == {}
    assert await boxes.counts() == {"waiting:purchase": 1, "removed": 1}


async def test_an_exported_letter_goes_out_once_however_often_it_is_enqueued(
    boxes: Mailboxes,
) -> None:
    """After a replay from the store it goes out no more. One that was dropped, or died again, does."""
    exported = order("m1", "ann") | {"sailpipe": {"replay": True}}
    await boxes.post(order("m1", "ann"))
    await kill(boxes)
    await boxes.post(exported, exported)
    assert await boxes.counts() == {"waiting:purchase": 1, "removed": 1, "duplicates": 1}
    await kill(boxes)
    await boxes.moves.replay(["m1"])
    await boxes.post(exported)
    assert await boxes.mail(Lane.PURCHASE, "ann") == ["m1"]
    await kill(boxes)
    await boxes.moves.drop(["m1"])
    await boxes.post(exported, exported)
    counts = {"waiting:purchase": 1, "removed": 2, "duplicates": 3}
    assert await boxes.counts() == counts


async def test_a_replayed_refusal_leaves_a_younger_letter_of_its_id_alone() -> None:
    """Only exported letters replace: a letter from the store has left it already."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis(), AccountSettings(dedupe_window=0.0))
    nonsense = {"messageId": "m1", "type": "nonsense"}
    await boxes.post(nonsense)
    await boxes.accept(nonsense)
    await boxes.moves.replay(["m1"])
    await boxes.split()
    younger, again = sorted(await boxes.dead())
    assert (younger, again.startswith("m1~")) == ("m1", True)
    assert await boxes.counts() == {"dead:invalid_event": 2}


@pytest.mark.parametrize(
    "flag", [None, True, "replay", [], {}, {"replay": False}, {"replay": 1}, {"replay": "true"}]
)
async def test_what_is_no_flag_of_an_exported_letter_makes_no_replay(
    boxes: Mailboxes, flag: object
) -> None:
    """An event may hold anything under that name. It is deduped as any other."""
    event = track("m1", "ann") | {"sailpipe": flag}
    await boxes.post(event, event)
    assert await boxes.mail(Lane.EVENT, "ann") == ["m1"]
    assert await boxes.counts() == {"waiting:event": 1, "duplicates": 1}
