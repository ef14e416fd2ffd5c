"""An import of files that can be stopped and gone on with: how far each file is lies in Redis, written with its events.

A file is known by its content, so that a changed one is another. What lies there is forgotten once all files of a
command are through: a command that was stopped in the second of its files has not done the first one again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from pipeline.accept import check_producers_format, message_id_for_line, prepare_line
from pipeline.cli.bad_lines import BadLines
from pipeline.cli.errors import BadInput
from pipeline.cli.event_files import can_be_read_twice, digest_of, open_lines
from pipeline.cli.output import note
from pipeline.cli.progress import Progress
from pipeline.errors import InvalidEvent
from pipeline.producer import enqueue_error
from pipeline.raw_entries import CHUNK, Chunk, Mark
from pipeline.storage import keys


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a file is. line: the last one that was enqueued. events, bad: lines up to there that were, and that
    could not be."""

    line: int = 0
    events: int = 0
    bad: int = 0

    @classmethod
    def decode(cls, text: bytes | None) -> Reached:
        return cls(*map(int, text.split())) if text else cls()

    def encode(self) -> str:
        """As it lies in Redis; '' for the beginning, where nothing does."""
        return f"{self.line} {self.events} {self.bad}" if self.line else ""


class Import:
    """The files of one command, read in order, in chunks that say how far they bring their file.

    before: events that an earlier command has enqueued. seen: those, and what was read.
    """

    def __init__(
        self,
        redis: Redis,
        account: str,
        bad_lines: BadLines,
        progress: Progress,
        *,
        from_start: bool = False,
    ) -> None:
        self.before = 0
        self.seen = 0
        self.broken = False
        self.progress = progress
        self._redis = redis
        self._account = account
        self._bad_lines = bad_lines
        self._from_start = from_start
        self._reached: dict[str, Reached] = {}
        self._knows_format = False

    def chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """The events of all files, each with a messageId.

        A file that cannot be read to its end is told of and left; what came before it counts.
        """
        for name in names:
            try:
                yield from self._file(name) if can_be_read_twice(name) else self._pipe(name)
            except BadInput as error:
                self.broken = True
                note(f"sailpipe: {error}")

    def forget(self) -> None:
        """All files are through: enqueued again, they begin at their first lines."""
        if not self._reached:
            return
        try:
            self._redis.unlink(*self._reached)
        except NoPermissionError:
            pass  # as in `_found`
        except RedisError as error:
            raise enqueue_error(error) from None

    def _pipe(self, name: str) -> Iterator[Chunk]:
        """What comes through a pipe gets ids of its own each time, and cannot be gone on with."""
        for raws, _ in self._read(name, uuid.uuid4().hex, Reached()):
            self._check_format()
            yield from self._counted(raws, None)

    def _file(self, name: str) -> Iterator[Chunk]:
        digest = digest_of(name)
        self._check_format()
        key = keys.import_of(self._account, digest)
        if key in self._reached:
            note(f"{name}: is left out, since a file before it has the same content.")
            return
        start = self._reached[key] = self._found(key)
        self.before += start.events
        self.seen += start.events
        if start.line:
            note(
                f"{name}: goes on after line {start.line}; {start.events} events of it were enqueued before"
                " (--from-start begins again)."
            )
        for raws, reached in self._read(name, digest, start):
            mark = Mark(key, self._reached[key].encode(), reached.encode())
            self._reached[key] = reached
            yield from self._counted(raws, mark)

    def _check_format(self) -> None:
        """Once, and only when there is something to enqueue."""
        if not self._knows_format:
            check_producers_format(self._redis)
            self._knows_format = True

    def _found(self, key: str) -> Reached:
        try:
            if self._from_start:
                self._redis.unlink(key)
                return Reached()
            found: Any = self._redis.get(key)
        except NoPermissionError:  # a Redis user that may only append: its imports begin again
            return Reached()
        except RedisError as error:
            raise enqueue_error(error) from None
        return Reached.decode(found)

    def _counted(self, raws: list[bytes], mark: Mark | None) -> Iterator[Chunk]:
        self.seen += len(raws)
        yield Chunk(raws, mark)
        self.progress.advance(len(raws))

    def _read(
        self, name: str, digest: str, start: Reached
    ) -> Iterator[tuple[list[bytes], Reached]]:
        """A file's events behind `start`, a chunk at a time, with how far each brings it.

        Bad lines before `start` are collected again, so that the file of them is whole.

        Raises:
            BadInput: the file cannot be read any further; what came before was given.
        """
        raws: list[bytes] = []
        bad, last, broken = 0, start, None
        try:
            for line in open_lines(name):
                if line.number <= start.line and bad == start.bad:
                    continue
                try:
                    raw = prepare_line(line.raw, message_id_for_line(digest, line.number))
                except InvalidEvent as error:
                    bad += 1
                    self._bad_lines.add(name, line, error.detail)
                    continue
                if line.number <= start.line:
                    continue
                raws.append(raw)
                last = Reached(line.number, last.events + 1, bad)
                if len(raws) == CHUNK:
                    yield raws, last
                    raws = []
        except BadInput as error:
            broken = error
        if raws:
            yield raws, last
        if broken is not None:
            raise broken
