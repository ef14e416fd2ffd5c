"""Finds the dead letters of one account: page by page, counted, by group. Reads only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import redis.asyncio

from pipeline.deadletters.filters import Cursor, Filter, Page
from pipeline.deadletters.groups import CauseRow, Group, Groups, read_cause
from pipeline.deadletters.letter import Letter
from pipeline.storage import keys
from pipeline.storage.numbers import HOUR_MS
from pipeline.storage.scripts import Scripts

PAGE = 500
"""Letters looked at in one step: some milliseconds of Redis' time."""
CAUSES = 200
"""Groups that are read in one step."""
MAX_LOOKED = 20_000
"""Letters that a page may look at: half a second for a filter that matches few."""
MAX_COUNTED = 2_000
"""Letters that a count on a page may look at: some tenths of a second at most."""


@dataclass(slots=True)
class Looked:
    """How far a scan has come, in pages of so many letters (0: PAGE). whole: with calls and timeline."""

    last: Cursor | None = None
    page: int = 0
    letters: int = 0
    whole: bool = False


class LetterReader:
    """One account's dead letters, as they are found. Connection errors propagate."""

    def __init__(self, client: redis.asyncio.Redis, account: str) -> None:
        self.account = account
        self._redis = client
        self._scripts = Scripts(client, "pipeline.deadletters")

    async def scan(
        self, wanted: Filter, after: Cursor | None = None, *, whole: bool = False
    ) -> AsyncIterator[Letter]:
        """Matching letters, newest first, without their raw events (`raw` is empty) unless the filter reads them.

        whole: with calls and timeline. Letters may come and go meanwhile; none is returned twice.
        """
        async for letter in self._each(wanted, Looked(after, whole=whole)):
            if letter is not None:
                yield letter

    async def page(
        self, wanted: Filter, *, limit: int, after: Cursor | None = None, most: int = MAX_LOOKED
    ) -> Page:
        """The `limit` newest matching letters behind `after`, or fewer, once `most` were looked at."""
        found: list[Letter] = []
        looked = Looked(after, min(PAGE, limit + 1) if wanted.is_indexed else PAGE)
        async for letter in self._each(wanted, looked):
            if letter is not None and len(found) == limit:  # there is one more
                last = found[-1]
                return Page(tuple(found), Cursor(last.header.died_at, last.id), looked.letters)
            if letter is not None:
                found.append(letter)
            if looked.letters >= most and looked.last is not None and len(found) < limit:
                return Page(tuple(found), looked.last, looked.letters)
        return Page(tuple(found), None, looked.letters)

    async def find(self, wanted: Filter, *, limit: int) -> list[Letter]:
        """The `limit` newest matching letters, without their raw events unless the filter reads them."""
        found: list[Letter] = []
        if limit > 0:
            async for letter in self.scan(wanted):
                found.append(letter)
                if len(found) >= limit:
                    break
        return found

    async def count(self, wanted: Filter) -> int:
        """How many letters match. At once where an index knows; else all that it holds are looked at."""
        if not wanted.is_indexed:
            return sum([1 async for _ in self.scan(wanted)])
        oldest = "-inf" if wanted.since_ms is None else wanted.since_ms
        newest = "+inf" if wanted.until_ms is None else wanted.until_ms
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in wanted.indexes(self.account):
                pipe.zcount(key, oldest, newest)
            return sum(await pipe.execute())

    async def count_within(self, wanted: Filter, most: int = MAX_COUNTED) -> tuple[int, bool]:
        """How many letters match, and whether that is all: where no index knows, only `most` letters are looked at."""
        if wanted.is_indexed:
            return await self.count(wanted), True
        found, looked = 0, Looked()
        async for letter in self._each(wanted, looked):
            found += letter is not None
            if looked.letters >= most:
                return found, False
        return found, True

    async def groups(self, wanted: Filter) -> list[Group]:
        """Matching letters by fingerprint, largest group first.

        What an index knows is not counted anew; users are then counted to about one in a hundred.
        """
        if not wanted.is_of_causes:
            groups = Groups()
            async for letter in self.scan(wanted):
                groups.add(letter)
            return list(groups.largest_first())
        found: list[Group] = []
        start = 0
        while rows := await self._causes(start):
            start += len(rows)
            found += [group for group in rows if wanted.fits_header(group.example.header)]
        return sorted(found, key=lambda group: (-group.letters, group.fingerprint))

    async def by_hour(self, fingerprints: Sequence[str], hours: int) -> dict[str, list[int]]:
        """How many letters of each group died in each of the last hours, the oldest first; those that are there still."""
        seconds, micros = await self._redis.time()
        end = seconds * 1000 + micros // 1000
        begins = range(end - hours * HOUR_MS, end, HOUR_MS)
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in fingerprints:
                for begin in begins:
                    key = keys.dead_by_cause(self.account, name)
                    pipe.zcount(key, f"({begin}", begin + HOUR_MS)
            found = await pipe.execute()
        return {name: found[n * hours : (n + 1) * hours] for n, name in enumerate(fingerprints)}

    async def _causes(self, start: int) -> list[Group]:
        flat = await self._scripts.run(
            "causes", [keys.account_prefix(self.account)], [start, CAUSES]
        )
        rows = [
            flat[at : at + len(CauseRow._fields)]
            for at in range(0, len(flat), len(CauseRow._fields))
        ]
        return [read_cause(self.account, CauseRow(*row)) for row in rows]

    async def _each(self, wanted: Filter, looked: Looked) -> AsyncIterator[Letter | None]:
        """Every letter that the filter's indexes hold: the letter if it matches, else None."""
        while page := await self._read_page(wanted, looked.last, looked.page or PAGE):
            for identity, died_at, blob in page:
                looked.letters += 1
                looked.last = Cursor(int(died_at), identity.decode())
                if not blob:
                    continue
                text = blob if wanted.reads_raw else blob + b"\n"
                letter = Letter.read(self.account, looked.last.id, text, whole=looked.whole)
                yield letter if wanted.matches(letter) else None

    async def _read_page(
        self, wanted: Filter, after: Cursor | None, size: int
    ) -> list[tuple[bytes, bytes, bytes]]:
        """`size` letters behind `after`, as (id, died at, header or the whole letter)."""
        begin = ("", "") if after is None else (after.died_at, after.id)
        newest = "+inf" if wanted.until_ms is None else wanted.until_ms
        oldest = "-inf" if wanted.since_ms is None else wanted.since_ms
        args = [*begin, newest, oldest, size, int(wanted.reads_raw), *wanted.indexes(self.account)]
        flat = await self._scripts.run("page", [keys.account_prefix(self.account)], args)
        return list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
