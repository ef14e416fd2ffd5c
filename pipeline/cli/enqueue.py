"""`sailpipe enqueue`: events from files and stdin into the raw stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Annotated

import typer

from pipeline.addresses import resolve_redis_url
from pipeline.cli.bad_lines import BadLines
from pipeline.cli.errors import WRONG_USAGE
from pipeline.cli.event_files import can_be_read_twice
from pipeline.cli.imports import Import
from pipeline.cli.options import AccountOption, JsonOption, RoleOption, settings_here
from pipeline.cli.output import json_result, result
from pipeline.cli.progress import open_progress
from pipeline.errors import EnqueueError, SailpipeError
from pipeline.producer import Producer
from pipeline.raw_entries import Chunk, Labels
from pipeline.roles import Role
from pipeline.storage.redis_client import open_redis
from pipeline.ways_in import WayIn

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
    role: RoleOption = Role.SERVER,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin again where an import was stopped.")
    ] = False,
    bad: Annotated[
        str | None,
        typer.Option("--bad", help="Where to collect bad lines. Without it: FILE.bad beside each."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Append events to the pipeline. The import of a file that was stopped goes on where it stopped.

    Ends with 2 when a line is not a JSON object.
    """
    settings = settings_here(account)
    bad_lines = BadLines(bad)
    bad_lines.refuse_inputs(files)
    url = resolve_redis_url(settings)
    try:
        with open_redis(url) as redis, open_progress("enqueued") as progress:
            import_ = Import(redis, account, bad_lines, progress, from_start=from_start)
            labels = Labels(account, role=role, via=WayIn.FILE)
            sent = _send(Producer(redis), import_, files, labels, bulk)
            import_.forget()
    except KeyboardInterrupt:
        raise SailpipeError(f"Stopped. {_how_to_go_on(files)}") from None
    except EnqueueError as error:
        raise type(error)(f"{error}. {_how_to_go_on(files)}") from None
    finally:
        bad_lines.report()
    _report(sent, import_, bad_lines, as_json=as_json)
    if bad_lines.count or import_.broken:
        raise typer.Exit(WRONG_USAGE)


def _send(
    producer: Producer, import_: Import, files: Sequence[str], labels: Labels, bulk: bool | None
) -> int:
    chunks: Iterator[Chunk] = import_.chunks(files)
    if bulk is None:
        first: list[Chunk] = []
        while import_.seen <= MAX_LIVE and (chunk := next(chunks, None)) is not None:
            first.append(chunk)
        chunks, bulk = chain(first, chunks), import_.seen > MAX_LIVE
    return producer.send_chunks(chunks, labels._replace(bulk=bulk), import_.progress.hold)


def _how_to_go_on(files: Sequence[str]) -> str:
    """What to do after an import that did not come to its end."""
    if all(map(can_be_read_twice, files)):
        return "Run the same command again: it goes on where it stopped."
    return (
        "Run again, files go on where they stopped; what came by a pipe stays, and is dropped the second time"
        " only if it has a messageId."
    )


def _report(sent: int, import_: Import, bad_lines: BadLines, *, as_json: bool) -> None:
    if as_json:
        numbers = {"enqueued": sent, "before": import_.before, "bad": bad_lines.count}
        json_result(numbers | {"bad_files": bad_lines.files})
        return
    before = f" {import_.before} were before." if import_.before else ""
    left_out = f" Bad lines left out: {bad_lines.count}." if bad_lines.count else ""
    result(f"Enqueued: {sent}.{before}{left_out}")
