"""One messageId, several events: a stranger who guesses the id of an order hides and replaces nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import fakeredis
import pytest
import redis.asyncio

from pipeline.deadletters.export import export_line
from pipeline.deadletters.store import DeadLetters
from pipeline.events.models import Lane
from pipeline.settings import AccountSettings
from pipeline.splitter.entries import Configured
from pipeline.splitter.triage import dedupe_hash, read, read_entry
from tests.support.mailboxes import Mailboxes, letter, order, track

ORDER = order("m1", "ann")
GUESSES: dict[str, dict[str, Any]] = {
    "an event": {"messageId": "m1", "type": "track", "event": "x", "userId": "eve"},
    "an event without id and email": {"messageId": "m1", "type": "track", "event": "x"},
    "a page": {"messageId": "m1", "type": "page", "userId": "eve"},
    "no type": {"messageId": "m1", "event": "Order Completed", "userId": "ann"},
    "nothing but the id": {"messageId": "m1"},
}
REFUSED = GUESSES["nothing but the id"]


@pytest.fixture
def boxes(boxes_in_both: Mailboxes) -> Mailboxes:
    return boxes_in_both


async def kill_order(boxes: Mailboxes) -> None:
    """The order at the head of ann's purchases dies."""
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "ann")
    await boxes.store.settle(replace(letter(claim), back=True))


async def order_letter(boxes: Mailboxes) -> str:
    """The id of the one letter that holds the order."""
    found = [name for name, one in (await boxes.dead()).items() if json.loads(one["raw"]) == ORDER]
    assert len(found) == 1
    return found[0]


async def export(boxes: Mailboxes, identity: str) -> dict[str, Any]:
    line = export_line(await DeadLetters(boxes.redis, "default").get(identity))
    assert line is not None
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.parametrize("guess", GUESSES.values(), ids=GUESSES)
async def test_a_guessed_message_id_hides_no_order(boxes: Mailboxes, guess: dict[str, Any]) -> None:
    """In the same batch or before it; a retry of either is still a duplicate."""
    await boxes.post(guess, ORDER)
    await boxes.post(guess, ORDER)
    assert await boxes.mail(Lane.PURCHASE, "ann") == ["m1"]
    assert (await boxes.counts())["duplicates"] == 2


async def test_letters_of_one_message_id_have_ids_that_their_events_decide(
    boxes: Mailboxes,
) -> None:
    """The first has the messageId. However often the order dies, its letter is the same."""
    await boxes.post(REFUSED, ORDER)
    await kill_order(boxes)
    identity = "m1~" + dedupe_hash("m1", "track", "Order Completed")[-8:]
    assert set(await boxes.dead()) == {"m1", identity}
    await boxes.moves.replay([identity])
    await kill_order(boxes)
    assert await order_letter(boxes) == identity


async def test_a_replay_of_the_guess_leaves_the_orders_letter_alone(boxes: Mailboxes) -> None:
    """It dies again, and both letters are there."""
    await boxes.post(REFUSED, ORDER)
    await kill_order(boxes)
    await boxes.moves.replay(["m1"])
    await boxes.split()
    assert await order_letter(boxes) != "m1"
    assert await boxes.counts() == {"dead:invalid_event": 1, "dead:rejected": 1}


@pytest.mark.parametrize("mended", [{}, {"type": "track", "event": "x", "userId": "eve"}])
async def test_an_export_of_the_guess_takes_no_place_of_an_order(
    boxes: Mailboxes, mended: dict[str, Any]
) -> None:
    """It does not when the guess's letter is gone and the order's letter has its id, either."""
    await boxes.post(REFUSED)
    line = await export(boxes, "m1") | mended
    await boxes.moves.drop(["m1"])
    await boxes.post(ORDER)
    await kill_order(boxes)
    assert await order_letter(boxes) == "m1"
    await boxes.post(line)
    assert await order_letter(boxes) == "m1"


async def test_an_export_that_went_out_hides_no_export_of_an_order(boxes: Mailboxes) -> None:
    """Which of one messageId went out is remembered by event."""
    await boxes.post(ORDER)
    await kill_order(boxes)
    line = await export(boxes, "m1")
    await boxes.moves.drop(["m1"])
    await boxes.post(GUESSES["an event"] | {"sailpipe": {"replay": True}})
    await boxes.post(line, line)
    assert await boxes.mail(Lane.PURCHASE, "ann") == ["m1"]
    assert (await boxes.counts())["duplicates"] == 1


async def test_an_export_finds_its_letter_whatever_is_mended_in_it(boxes: Mailboxes) -> None:
    """Type, name and messageId decide the key; a person may have to mend just these."""
    await boxes.post(REFUSED | {"type": "trak"}, REFUSED, ORDER)
    await kill_order(boxes)
    first, second = (await boxes.dead()).keys() - {"m1", await order_letter(boxes)}, "m1"
    for identity in (*first, second):
        line = await export(boxes, identity)
        mended = {"type": "track", "event": "Seen", "userId": identity, "messageId": "other"}
        await boxes.post(line | mended, line | mended)
    assert set(await boxes.dead()) == {await order_letter(boxes)}
    counts = {"waiting:event": 2, "dead:rejected": 1, "removed": 2, "duplicates": 2}
    assert await boxes.counts() == counts


async def test_one_event_that_died_twice_has_two_letters() -> None:
    """Both can be exported; each line takes the place of its own."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis(), AccountSettings(dedupe_window=0.0))
    await boxes.post(REFUSED, REFUSED, REFUSED)
    letters = await boxes.dead()
    assert len(letters) == 3
    for identity in letters:
        line = await export(boxes, identity) | {"type": "page", "userId": identity}
        await boxes.post(line, line)
    assert await boxes.dead() == {}
    assert len(await boxes.due(Lane.PAGE)) == 0, "there is no customer id: pages are ignored"
    assert await boxes.counts() == {"ignored:no_customer_id": 3, "removed": 3, "duplicates": 3}


async def test_a_message_id_that_looks_like_another_letters_id_takes_no_place(
    boxes: Mailboxes,
) -> None:
    """A stranger can reckon the suffix of an order's letter, and kill an event of that id first."""
    suffix = dedupe_hash("m1", "track", "Order Completed")[-8:]
    await boxes.post(REFUSED, {"messageId": f"m1~{suffix}"}, ORDER)
    await kill_order(boxes)
    identity = await order_letter(boxes)
    await boxes.post(await export(boxes, identity))
    assert await boxes.mail(Lane.PURCHASE, "ann") == [identity]
    assert set(await boxes.dead()) == {"m1", f"m1~{suffix}"}


async def test_a_replay_flag_that_no_letter_ever_had_is_read_without_harm(boxes: Mailboxes) -> None:
    """Written by hand: neither text nor number, or a key that is none."""
    marks: list[dict[str, Any]] = [{"letter": 5, "key": []}, {"letter": "", "key": "x" * 99}]
    for number, mark in enumerate(marks):
        await boxes.post(track(f"m{number}", "ann") | {"sailpipe": {"replay": True, **mark}})
    fields = {"event": json.dumps(track("m9", "ann")), "replay": "m9", "key": "no key"}
    await boxes.accept_raw(fields)
    await boxes.split()
    assert await boxes.mail(Lane.EVENT, "ann") == ["m0", "m1", "m9"]


async def test_letters_of_one_message_id_cost_the_same_however_many_there_are(
    redis_url: str,
) -> None:
    """A producer's constant: neither ids nor the look for a free one grow with the letters."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        boxes = Mailboxes(client, AccountSettings(dedupe_window=0.0))
        await client.config_resetstat()
        for _ in range(6):
            await boxes.post(*[REFUSED] * 200)
        letters, stats = await boxes.dead(), await client.info("commandstats")
    assert len(letters) == 1_200
    assert max(map(len, letters)) < 40
    assert stats["cmdstat_hexists"]["calls"] <= 4 * 1_200


def test_a_message_is_known_for_the_window_of_the_settings_to_the_millisecond() -> None:
    """One without a messageId has nothing that a repeat could be known by."""
    account = Configured(AccountSettings(dedupe_window=86_400.0), "sailpipe:default:")
    for event, window in ((track("m1", "ann"), 86_400_000), (track("", "ann"), 0)):
        entry = read_entry(b"1700000000000-0", {b"event": json.dumps(event).encode()})
        assert read(entry, {"default": account}).key.window == window
