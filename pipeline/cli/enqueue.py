"""`sailpipe enqueue`: events from files and stdin into the raw stream."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from itertools import chain, islice
from typing import Annotated

import typer
from redis import Redis

from pipeline.accept import check_producers_format, message_id_for_line, prepare_line
from pipeline.addresses import resolve_redis_url
from pipeline.cli.errors import WRONG_USAGE, BadInput
from pipeline.cli.event_files import STDIN, can_be_read_twice, digest_of, open_lines
from pipeline.cli.options import AccountOption, JsonOption, settings_here
from pipeline.cli.output import json_result, note, result
from pipeline.cli.progress import Progress, open_progress
from pipeline.errors import EnqueueError, InvalidEvent, SailpipeError
from pipeline.producer import Labels, Producer
from pipeline.storage.redis_client import open_redis

SHOWN_BAD_LINES = 20
MAX_LIVE = 1_000
"""Events that are live unless `--bulk` says otherwise: more would delay what is under way."""


def enqueue(
    files: Annotated[
        list[str], typer.Argument(help="JSON lines or a JSON array, .gz too; - is stdin.")
    ],
    account: AccountOption = "default",
    bulk: Annotated[
        bool | None,
        typer.Option(
            "--bulk/--live",
            help="Let live events go first; or these among them. Without either: bulk if they are more than 1,000.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Append events to the pipeline. Ends with 2 when a line is not a JSON object."""
    settings = settings_here(account)
    import_ = _Import(files, account)
    try:
        sent = _send(resolve_redis_url(settings), import_, bulk)
    except KeyboardInterrupt:
        raise SailpipeError(f"Stopped. {import_.how_to_go_on}") from None
    except EnqueueError as error:
        raise type(error)(f"{error}. {import_.how_to_go_on}") from None
    import_.report(sent, as_json=as_json)
    if import_.bad or import_.broken:
        raise typer.Exit(WRONG_USAGE)


def _send(redis_url: str, import_: _Import, bulk: bool | None) -> int:
    with open_redis(redis_url) as redis, open_progress("enqueued") as progress:
        events = _after_a_look(redis, import_.events(progress))
        if bulk is None:
            first = list(islice(events, MAX_LIVE + 1))
            events, bulk = chain(first, events), len(first) > MAX_LIVE
        labels = Labels(import_.account, bulk=bulk)
        return Producer(redis).send_many(events, labels, progress.hold)


def _after_a_look(redis: Redis, events: Iterator[bytes]) -> Iterator[bytes]:
    """The same events, the first one only if Redis holds this version's data."""
    for number, event in enumerate(events):
        if number == 0:
            check_producers_format(redis)
        yield event


class _Import:
    """What one call of the command enqueues, with a count of the bad lines."""

    def __init__(self, files: list[str], account: str) -> None:
        self.bad = 0
        self.broken = False
        self._files = files
        self.account = account

    @property
    def how_to_go_on(self) -> str:
        """What to do after an import that did not come to its end."""
        if all(map(can_be_read_twice, self._files)):
            return "Enqueue the same files again: what was enqueued is not delivered twice."
        return "What was enqueued stays: enqueued again, an event is dropped only if it has a messageId."

    def events(self, progress: Progress) -> Iterator[bytes]:
        """The events of all files, in order, each with a messageId.

        A file that cannot be read to its end is told of and left; what came before it counts.
        """
        for name in self._files:
            try:
                for raw in self._events_of(name):
                    progress.advance()
                    yield raw
            except BadInput as error:
                self.broken = True
                note(f"sailpipe: {error}")

    def _events_of(self, name: str) -> Iterator[bytes]:
        # What comes through a pipe gets ids of its own each time.
        digest = digest_of(name) if can_be_read_twice(name) else uuid.uuid4().hex
        for line in open_lines(name):
            try:
                yield prepare_line(line.raw, message_id_for_line(digest, line.number))
            except InvalidEvent as error:
                self._refuse(name, line.number, error.detail)

    def report(self, sent: int, *, as_json: bool) -> None:
        """How much was enqueued, on stdout."""
        if self.bad > SHOWN_BAD_LINES:
            note(f"... and {self.bad - SHOWN_BAD_LINES} more bad lines.")
        if as_json:
            json_result({"enqueued": sent, "bad": self.bad})
        else:
            left_out = f" Bad lines left out: {self.bad}." if self.bad else ""
            result(f"Enqueued: {sent}.{left_out}")

    def _refuse(self, name: str, number: int, detail: str) -> None:
        self.bad += 1
        if self.bad <= SHOWN_BAD_LINES:
            note(f"{'stdin' if name == STDIN else name}:{number}: {detail}")
