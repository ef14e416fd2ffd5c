"""The dead letters of one account: read, select, replay, drop, and keep within bounds."""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import redis.asyncio
from aiolimiter import AsyncLimiter

from pipeline.deadletters.filters import Filter, Selection
from pipeline.deadletters.letter import Letter
from pipeline.deadletters.moves import LetterMoves
from pipeline.deadletters.reading import PAGE, LetterReader
from pipeline.deadletters.trimming import TrimGroup, Trimmed, by_hour, shares
from pipeline.errors import SailpipeError
from pipeline.events.models import Lane
from pipeline.producer import HOLD_S, RAW_HOLD
from pipeline.storage import keys
from pipeline.storage.numbers import DAY_MS

CHUNK = 100
"""Letters moved, removed or read whole in one step."""
PACED_STEPS = 10
"""Steps a second of a paced replay."""
NAMES_A_SCAN = 5_000
"""Ids that Redis looks through in one step, some milliseconds."""
SHORTEST_ID = 4
"""Characters from which the beginning of an id may stand for it."""
EMAILING = frozenset({Lane.EVENT, Lane.PURCHASE})
"""Lanes whose calls may start emails at Sailthru: triggers of custom events, receipts and reminders."""

_T = TypeVar("_T")
Done = Callable[[int], None]
"""Called with how many more letters are done."""


class _Line(NamedTuple):
    """What a selection needs of a letter; sorts by when its event first came."""

    first_seen_ms: int
    died_at_ms: int
    id: str
    reason: str
    user: str
    follows: str
    target: str
    lane: str


class SeveralLetters(SailpipeError):
    """More than one letter begins with what was to name one. `found`: their ids."""

    def __init__(self, text: str, found: Sequence[str]) -> None:
        super().__init__(text, found)
        self.found = tuple(found)

    def __str__(self) -> str:
        return f"{len(self.found)} dead letters begin with {self.args[0]!r}: write more of the id."


class UnknownLetter(SailpipeError):
    """There is no dead letter of this id: it was never there, or it was replayed or dropped."""


class DeadLetters(LetterReader):
    """One account's dead letters. Connection errors propagate; every verb may be repeated."""

    def __init__(self, client: redis.asyncio.Redis, account: str) -> None:
        super().__init__(client, account)
        self._moves = LetterMoves(client, account)

    async def get(self, identity: str) -> Letter:
        """One whole letter. Raises UnknownLetter."""
        blob = await self._redis.hget(keys.dead(self.account), identity)
        if not isinstance(blob, bytes):
            raise UnknownLetter(f"There is no dead letter {identity!r} in account {self.account}.")
        return self._letter(identity.encode(), blob)

    async def named(self, identity: str) -> list[str]:
        """The letters of one messageId: this id, if it is one's, then those that have it and a suffix."""
        found = await self._like(f"{_literal(identity)}~*")
        is_there = await self._redis.hexists(keys.dead(self.account), identity)
        return [*([identity] if is_there else []), *found]

    async def meant(self, text: str) -> list[str]:
        """As `named`; where that finds none, the letters whose ids begin with it, if it has SHORTEST_ID characters."""
        found = await self.named(text)
        if found or len(text) < SHORTEST_ID:
            return found
        return await self._like(f"{_literal(text)}*")

    async def id_of(self, text: str) -> str:
        """The id of the one letter that `text` names, whole or shortened; `text` itself when it names none.

        Raises SeveralLetters when more than one begins with it.
        """
        if await self._redis.hexists(keys.dead(self.account), text):
            return text
        found = await self.meant(text)
        if len(found) > 1:
            raise SeveralLetters(text, found)
        return found[0] if found else text

    async def _like(self, pattern: str) -> list[str]:
        """The ids that match a pattern, in order."""
        scan = self._redis.zscan_iter(
            keys.dead_by_time(self.account), match=pattern, count=NAMES_A_SCAN
        )
        return sorted({name.decode() async for name, _ in scan})  # a scan may return one twice

    async def select(self, wanted: Filter) -> Selection:
        """Count and name all matching letters."""
        return await self._selection([_line(letter) async for letter in self.scan(wanted)])

    async def select_ids(self, ids: Iterable[str]) -> Selection:
        """Name these letters; ids may be shortened. Raises UnknownLetter when one is not there, or SeveralLetters."""
        whole = [await self.id_of(identity) for identity in ids]
        lines = [_line(await self.get(identity)) for identity in dict.fromkeys(whole)]
        return await self._selection(lines)

    async def read(self, ids: Iterable[str]) -> AsyncIterator[Letter]:
        """Whole letters; those that are gone are left out."""
        for chunk in _chunks(ids, CHUNK):
            blobs = await self._redis.hmget(keys.dead(self.account), chunk)
            for identity, blob in zip(chunk, blobs, strict=True):
                if isinstance(blob, bytes):
                    yield self._letter(identity.encode(), blob)

    async def replay(
        self,
        ids: Sequence[str],
        *,
        rate: float | None = None,
        overtaken: bool = True,
        on_done: Done | None = None,
        on_hold: Callable[[str], None] | None = None,
    ) -> int:
        """Put letters back into their mailboxes, at most `rate` a second; returns how many.

        overtaken: also those that something newer has overtaken; each is looked at as it leaves.
        A letter that is gone is passed over, so that two replays of one letter send it once. What the splitter had
        refused is split again: as every bulk producer it waits, and tells `on_hold`, while the raw stream is long.
        """
        size = CHUNK if rate is None else min(CHUNK, math.ceil(rate / PACED_STEPS))
        pace = None if rate is None else AsyncLimiter(size, size / rate)
        replayed = 0
        for chunk in _chunks(ids, size):
            if pace is not None:
                await pace.acquire(len(chunk))
            while (waiting := await self._redis.xlen(keys.RAW)) >= RAW_HOLD:
                if on_hold is not None:
                    on_hold(f"{waiting} events wait already")
                await asyncio.sleep(HOLD_S)
            replayed += len(await self._moves.replay(chunk, overtaken=overtaken))
            if on_done is not None:
                on_done(len(chunk))
        return replayed

    async def drop(self, ids: Iterable[str], *, on_done: Done | None = None) -> int:
        """Remove letters for good; returns how many were there. They are counted as removed."""
        dropped = 0
        for chunk in _chunks(ids, CHUNK):
            dropped += await self._moves.drop(chunk)
            if on_done is not None:
                on_done(len(chunk))
        return dropped

    async def expire(self, keep_s: float) -> int:
        """Remove what died more than `keep_s` ago; returns how many. They are counted as removed.

        What was replayed that long ago is forgotten, too.
        """
        seconds, micros = await self._redis.time()
        oldest_ms = int((seconds + micros / 1e6 - keep_s) * 1000)
        await self._redis.zremrangebyscore(keys.replayed(self.account), "-inf", oldest_ms)
        removed = 0
        while chunk := await self._died_before(oldest_ms):
            gone = await self.drop(chunk)
            removed += gone
            if not gone:  # another process removes them, too
                break
        return removed

    async def trim(self, most: int) -> Trimmed:
        """Remove letters until there are `most`; see trimming.py for which. They are counted as removed,
        and as trimmed.

        Several processes may do it at a time: together they remove no more than one would.
        """
        removed = Trimmed()
        count = await self._redis.zcard(keys.dead_by_time(self.account))
        if count <= most:
            return removed
        sizes: dict[Any, Any] = await self._redis.hgetall(keys.dead_groups(self.account))
        groups = {TrimGroup.parse(text.decode()): int(size) for text, size in sizes.items()}
        for hour, cuts in by_hour(shares(groups, count - most)):
            removed.groups.update(await self._trim_hour(hour, cuts, most))
        return removed

    async def is_first_trim(self, within_s: float) -> bool:
        """Whether no process asked this of the account in the last `within_s`. If so, alert an operator."""
        return await self._moves.is_first(keys.dead_told(self.account), int(within_s * 1000))

    async def _trim_hour(
        self, hour: int, cuts: Mapping[TrimGroup, int], most: int
    ) -> Counter[TrimGroup]:
        left, removed, passed = Counter(cuts), Counter[TrimGroup](), 0
        while left.total():
            looked, found = await self._moves.trim(
                hour, _by_text(left), passed=passed, page=CHUNK, most=most
            )
            if not looked:
                break
            gone = Counter({TrimGroup.parse(text): count for text, count in found.items()})
            left, removed, passed = left - gone, removed + gone, passed + looked - gone.total()
        return removed

    async def _died_before(self, at_ms: int) -> list[str]:
        """Some letters that are too old, oldest first."""
        old: Any = await self._redis.zrange(
            keys.dead_by_time(self.account), "-inf", f"({at_ms}", byscore=True, offset=0, num=CHUNK
        )
        return [identity.decode() for identity in old]

    async def _selection(self, lines: list[_Line]) -> Selection:
        lines.sort()
        now_ms = (await self._redis.time())[0] * 1000
        return Selection(
            tuple(line.id for line in lines),
            Counter(line.reason for line in lines),
            await self._overtaken([line for line in lines if line.follows]),
            frozenset(line.target for line in lines),
            lines[0].first_seen_ms if lines else 0,
            sum(line.first_seen_ms < now_ms - DAY_MS for line in lines),
            sum(line.lane in EMAILING for line in lines),
            len({line.user for line in lines if line.user}),
            Counter(line.lane for line in lines),
        )

    async def _overtaken(self, lines: list[_Line]) -> frozenset[str]:
        found = []
        for chunk in _chunks(lines, PAGE):
            async with self._redis.pipeline(transaction=False) as pipe:
                for line in chunk:
                    pipe.hget(keys.user(self.account, line.user), f"newest:{line.follows}")
                newest = await pipe.execute()
            pairs = zip(chunk, newest, strict=True)
            found += [line.id for line, at in pairs if int(at or 0) > line.first_seen_ms]
        return frozenset(found)

    def _letter(self, identity: bytes, blob: bytes) -> Letter:
        return Letter.read(self.account, identity.decode(), blob)


def _by_text(cuts: Mapping[TrimGroup, int]) -> dict[str, int]:
    return {str(group): count for group, count in cuts.items()}


def _line(letter: Letter) -> _Line:
    header = letter.header
    return _Line(
        header.first_seen_ms,
        header.died_at,
        letter.id,
        header.reason,
        header.user,
        header.follows,
        header.target,
        header.lane,
    )


def _literal(text: str) -> str:
    """A pattern of Redis' that matches this text only."""
    return re.sub(r"[\\*?\[\]]", r"\\\g<0>", text)


def _chunks(values: Iterable[_T], size: int) -> Iterable[list[_T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk
