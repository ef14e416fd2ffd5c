"""The splitter: all or nothing, one at a time, and no entry that stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import pytest
import redis.exceptions

from pipeline.events.models import Lane
from pipeline.splitter import loop
from pipeline.splitter.entries import Moved, Read, RoutedEntry
from pipeline.splitter.lease import LeaseLost
from pipeline.splitter.loop import Splitter
from pipeline.splitter.stream import RawStream
from pipeline.splitter.triage import Account, route_entry
from pipeline.storage import keys, redis_watch
from tests.support.mailboxes import Mailboxes, identify, order, track

ROUTE_ENTRY = "pipeline.splitter.triage.route_entry"
BROKEN: Any = [[None, None]]
"""Aliases that fail in the script after its first write."""


async def test_each_event_goes_to_its_users_mailbox_in_its_lane(boxes: Mailboxes) -> None:
    """Mailboxes hold the producer's bytes, unchanged and in order of arrival."""
    await boxes.post(
        identify("m1", "ann"), track("m2", "ann"), order("m3", "ann"), track("m4", "ann")
    )
    assert await boxes.mail(Lane.USER, "ann") == ["m1"]
    assert await boxes.mail(Lane.EVENT, "ann") == ["m2", "m4"]
    assert await boxes.mail(Lane.PURCHASE, "ann") == ["m3"]
    raw = b' {"type" :"track",\n "event": "\\u00e9\xc3\xa9", "userId": 7, "x": 1.10}'
    sid = await boxes.accept_raw({"event": raw})
    await boxes.split()
    claim = await boxes.lease_and_claim(Lane.EVENT, "7")
    assert [(entry.id, entry.raw) for entry in claim.entries] == [(sid, raw)]


async def test_ids_are_mended_before_they_name_anything(boxes: Mailboxes) -> None:
    """Control characters separate the parts of mailbox names and entries. The bytes stay as they came."""
    raw = rb'{"type":"track","event":"x","userId":"an\u001fn\n","messageId":"\ufeffm\u00001"}'
    await boxes.accept_raw({"event": raw})
    await boxes.accept_raw({"event": rb'{"type":"x","userId":"ann","messageId":"m\u001f2\ud83d"}'})
    await boxes.split()
    claim = await boxes.lease_and_claim(Lane.EVENT, "ann")
    assert [(entry.id, entry.raw) for entry in claim.entries] == [("m1", raw)]
    assert list(await boxes.dead()) == ["m2\ufffd"]


async def test_a_cut_emoji_costs_no_event(boxes: Mailboxes) -> None:
    """The same holds for bytes that are not UTF-8, a byte order mark or a bare line break in a text."""
    for number, text in enumerate((rb"\ud83d", b"\xff", b"one\ntwo", b"\xed\xa0\xbd")):
        body = b'\xef\xbb\xbf{"type":"track","event":"x","userId":"ann","messageId":"m%d","y":"%s"}'
        await boxes.accept_raw({"event": body % (number, text)})
    await boxes.split()
    assert await boxes.mail(Lane.EVENT, "ann") == ["m0", "m1", "m2", "m3"]


async def test_a_repeated_message_id_is_dropped_and_counted(boxes: Mailboxes) -> None:
    """Within a batch and across batches; an event without an id is never a duplicate."""
    await boxes.post(track("m1", "ann"), track("m1", "bob"))
    await boxes.post(track("m1", "ann"))
    nameless = {"type": "track", "event": "x", "userId": "ann"}
    await boxes.post(nameless, nameless)
    assert await boxes.counts() == {"waiting:event": 3, "duplicates": 2}


async def test_an_entry_without_event_is_a_dead_letter(boxes: Mailboxes) -> None:
    """Whatever a producer wrote is kept; bytes that are no text neither stop nor lose anything."""
    sid = await boxes.accept_raw({"evnt": "typo"})
    other = await boxes.accept_raw({b"event": b"\xff\xfe", b"replay": b"\xff"})
    await boxes.accept(track("m1", "ann"))
    assert await boxes.split() == 3
    letters = await boxes.dead()
    assert {one["reason"] for one in letters.values()} == {"invalid_json"}
    assert b"typo" in letters[sid]["raw"]
    assert [one["raw"] for name, one in letters.items() if name != sid] == [b"\xff\xfe"]
    assert await boxes.mail(Lane.EVENT, "ann") == ["m1"]
    assert other


async def test_a_stale_splitter_is_refused(boxes: Mailboxes) -> None:
    """Two at a time would reorder a user: the lease is checked in the script that moves events."""
    await boxes.accept(track("m1", "ann"))
    second = boxes.make_splitter("second")
    assert await boxes.splitter.hold_lease()
    assert not await second.hold_lease()
    with pytest.raises(LeaseLost):
        await second.step()
    assert await boxes.backlog() == 1
    await second.release()
    assert await boxes.splitter.hold_lease()
    await boxes.splitter.release()
    assert await second.hold_lease()
    with pytest.raises(LeaseLost):
        await boxes.splitter.step()
    assert await second.step() == 1


class TroubledStream(RawStream):
    """A raw stream that fails when a test says so. moved: how many entries each batch had that was to be moved."""

    def __init__(
        self,
        boxes: Mailboxes,
        *,
        read: Callable[[int], Awaitable[None]] | None = None,
        move: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """`read` is told how many entries are to be read, `move` how many are to be moved; both may raise."""
        super().__init__(boxes.redis, "first", boxes.now_ms)
        self.moved: list[int] = []
        self._before_read = read or _no_trouble
        self._before_move = move or _no_trouble

    async def hold(self) -> bool:
        await self._before_read(self.batch_size)
        return await super().hold()

    async def move(
        self, batch: Sequence[RoutedEntry], fence: Mapping[str, str] = MappingProxyType({})
    ) -> Moved:
        self.moved.append(len(batch))
        await self._before_move(len(batch))
        return await super().move(batch, fence)


async def _no_trouble(_entries: int) -> None:
    """Nothing fails."""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A splitter does not pause after a failure."""
    monkeypatch.setattr(loop, "STAND_BY_S", 0.0)


@pytest.mark.usefixtures("impatient")
async def test_entries_too_large_for_one_read_are_read_one_by_one(boxes: Mailboxes) -> None:
    """A reply has five seconds. Asked for the same again and again, the stream would stand still."""

    async def refuse_many(entries: int) -> None:
        if entries > 1:
            raise redis.exceptions.TimeoutError

    stream = TroubledStream(boxes, read=refuse_many)
    await boxes.accept(track("m1", "ann"), track("m2", "ann"))
    splitter = boxes.make_splitter("first", stream)
    for _ in range(3):
        await splitter.turn()
    assert (await boxes.mail(Lane.EVENT, "ann"), stream.moved) == (["m1", "m2"], [1, 1])


async def accept_and_turn(boxes: Mailboxes, splitter: Splitter, numbers: range, turns: int) -> None:
    await boxes.accept(*(track(f"m{n}", "ann") for n in numbers))
    for _ in range(turns):
        await splitter.turn()


async def lose_the_lease(boxes: Mailboxes) -> None:
    await boxes.redis.delete(keys.SPLITTER)


async def break_the_connection(_boxes: Mailboxes) -> None:
    raise redis.exceptions.ConnectionError


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fail", [lose_the_lease, break_the_connection])
async def test_a_batch_that_cannot_be_split_whole_is_split_one_by_one(
    boxes: Mailboxes, fail: Callable[[Mailboxes], Awaitable[None]]
) -> None:
    """Too slow for one lease, too big for one request: whole it would fail for ever.

    No longer than for those that were read: it may have been Redis' restart, or a real take-over.
    """

    async def struggle(size: int) -> None:
        if size > 3:
            await fail(boxes)

    stream = TroubledStream(boxes, move=struggle)
    splitter = boxes.make_splitter("first", stream)
    await accept_and_turn(boxes, splitter, range(4), turns=5)
    await accept_and_turn(boxes, splitter, range(4, 7), turns=1)
    assert await boxes.mail(Lane.EVENT, "ann") == [f"m{n}" for n in range(7)]
    assert stream.moved == [4, 1, 1, 1, 1, 3]


@pytest.mark.usefixtures("impatient")
async def test_a_failure_amid_single_entries_leaves_the_rest_single(boxes: Mailboxes) -> None:
    """Redis may be away for long: each attempt fails with one entry in hand, and none of them is done."""
    ups = iter([False, False, True, False, False])

    async def waver(_size: int) -> None:
        if not next(ups, True):
            raise redis.exceptions.ConnectionError

    stream = TroubledStream(boxes, move=waver)
    await accept_and_turn(boxes, boxes.make_splitter("first", stream), range(4), turns=8)
    assert stream.moved == [4, 1, 1, 1, 1, 1, 1, 1]
    assert await boxes.backlog() == 0


async def test_a_lost_lease_is_called_so_and_no_event_dies_of_it(
    boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No alarm about a Redis that is fine; the other splitter has the entries."""
    said: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
    for module in (loop, redis_watch):
        monkeypatch.setattr(
            module, "log_event", lambda name, *_, **fields: said.put_nowait((name, fields))
        )

    async def freeze(_entries: int) -> None:
        await boxes.redis.set(keys.SPLITTER, "second")

    await boxes.accept(track("m1", "ann"), track("m2", "bob"))
    splitter = boxes.make_splitter("first", TroubledStream(boxes, move=freeze))
    work = asyncio.create_task(splitter.run())
    first = await asyncio.wait_for(said.get(), 10)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert first == ("lease_lost", {"component": "splitter"})
    assert said.empty()
    assert (await boxes.backlog(), await boxes.dead()) == (2, {})


async def until_split(boxes: Mailboxes) -> None:
    async with asyncio.timeout(10):
        while await boxes.backlog():
            await asyncio.sleep(0)


async def test_a_splitter_lets_events_gather_only_while_they_come(
    boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is split at once. Those that follow within the pause share the trips of one batch."""
    monkeypatch.setattr(loop, "LINGER_S", 0.5)
    stream = TroubledStream(boxes)
    work = asyncio.create_task(boxes.make_splitter("first", stream).run())
    for numbers in (range(1), range(1, 4)):
        await boxes.accept(*(track(f"m{n}", "ann") for n in numbers))
        await until_split(boxes)
    work.cancel()
    await asyncio.wait([work])
    assert stream.moved == [1, 3]


@pytest.mark.parametrize(("a_second", "settles_at"), [(1, 0.02), (200, 0.02), (340, 0.08)])
@pytest.mark.parametrize("before", [0.02, 0.05])
def test_batches_gather_longer_only_where_many_events_come(
    a_second: int, settles_at: float, before: float
) -> None:
    """Latency counts where few come, and trips where many do."""
    pauses = [before]
    for _ in range(30):
        pauses.append(loop.linger(int(a_second * (pauses[-1] + 0.001))))
    assert pauses[-1] == pytest.approx(settles_at)


async def test_a_splitter_told_to_stop_does_not_wait_for_a_redis_that_hangs(
    boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease runs out by itself."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def hang(_entries: int = 0) -> None:
        asked.set()
        await answer.wait()

    monkeypatch.setattr(loop, "RELEASE_WITHIN_S", 0.01)
    splitter = boxes.make_splitter("first", TroubledStream(boxes, read=hang))
    monkeypatch.setattr(splitter, "release", hang)
    work = asyncio.create_task(splitter.run())
    await asked.wait()
    work.cancel()
    await asyncio.wait([work], timeout=10)
    assert work.cancelled()


async def test_only_the_entry_that_crashes_the_splitter_dies(
    boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that fails goes singly; the culprit becomes a dead letter, named by its messageId."""

    def picky(item: Read, account: Account) -> RoutedEntry:
        if item.key.id == "bad":
            raise ZeroDivisionError
        return route_entry(item, account)

    monkeypatch.setattr(ROUTE_ENTRY, picky)
    await boxes.post(*(track(name, "ann") for name in ("m1", "bad", "m2")))
    assert await boxes.mail(Lane.EVENT, "ann") == ["m1", "m2"]
    assert {name: one["reason"] for name, one in (await boxes.dead()).items()} == {"bad": "crashed"}
    assert "ZeroDivisionError" in (await boxes.dead())["bad"]["detail"]


async def test_what_crashed_the_splitter_is_no_duplicate_when_it_is_sent_again(
    boxes: Mailboxes,
) -> None:
    """The sender repeats it once the bug is mended. Each repeat before has a letter of its own."""
    with patch(ROUTE_ENTRY, side_effect=ZeroDivisionError):
        await boxes.post(track("m1", "ann"))
        await boxes.post(track("m1", "ann"))
    assert await boxes.counts() == {"dead:crashed": 2}
    await boxes.post(track("m1", "ann"), track("m1", "ann"))
    assert await boxes.mail(Lane.EVENT, "ann") == ["m1"]
    assert (await boxes.counts())["duplicates"] == 1


async def test_a_script_that_fails_midway_repeats_nothing(
    boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis rolls nothing back: what came before the culprit is through and must not go again."""

    def broken(item: Read, account: Account) -> RoutedEntry:
        one = route_entry(item, account)
        if item.key.id == "bad":
            return one._replace(action=one.action._replace(aliases=BROKEN))
        return one

    monkeypatch.setattr(ROUTE_ENTRY, broken)
    nameless = {"type": "track", "event": "x", "userId": "bob"}
    await boxes.post(nameless, track("m1", "ann"), track("bad", "ann"), track("m2", "ann"))
    assert await boxes.mail(Lane.EVENT, "ann") == ["m1", "m2"]
    assert await boxes.counts() == {"waiting:event": 3, "dead:crashed": 1}
    assert await boxes.backlog() == 0


async def test_no_event_dies_of_a_redis_that_refuses(boxes: Mailboxes) -> None:
    """Out of memory or read-only passes: entries stay in the raw stream until it has."""
    refusals = iter(
        [
            redis.exceptions.OutOfMemoryError("command not allowed"),
            redis.exceptions.ResponseError("@user_script: 9: -READONLY You can't write"),
            redis.exceptions.ResponseError("MISCONF Redis is configured to save"),
        ]
    )

    async def refuse(_entries: int) -> None:
        raise next(refusals)

    await boxes.accept(track("m1", "ann"))
    splitter = boxes.make_splitter("first", TroubledStream(boxes, move=refuse))
    assert await splitter.hold_lease()
    for _ in range(3):
        with pytest.raises(redis.exceptions.ResponseError):
            await splitter.step()
    assert await boxes.split() == 1
    assert await boxes.counts() == {"waiting:event": 1}
