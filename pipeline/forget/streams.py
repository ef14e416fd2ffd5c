"""The raw stream and what is held of it; letters; wake-ups that name mailboxes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.deadletters.letter import Letter
from pipeline.deadletters.store import CHUNK, DeadLetters
from pipeline.events.models import Lane
from pipeline.forget.person import Whose
from pipeline.forget.spaces import Space
from pipeline.forget.work import Work
from pipeline.identity.placement import UNIDENTIFIED
from pipeline.ownership.keyspace import each_member
from pipeline.ownership.wakeups import MAX_MESSAGES, account_of
from pipeline.settings import DEFAULT_ACCOUNT
from pipeline.storage import keys

ENTRIES = 500
"""Raw entries that are asked for at a time, if they are not large."""


async def sweep_stream(work: Work, stream: str, space: Space) -> None:
    """What was accepted and is in no mailbox yet."""
    begin = "-"
    while entries := await work.run("read", [begin, ENTRIES], stream):
        theirs = []
        for sid, flat in entries:
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            whose = _whose(work, fields)
            if whose is Whose.THEIRS:
                theirs.append((sid, fields.get(b"event", b"")))
            work.see(space, theirs=whose is Whose.THEIRS, named=whose is Whose.NAMED)
        work.note_orders(raw for _, raw in theirs)
        if theirs and work.removes:
            await work.run("take_raw", [sid for sid, _ in theirs], stream)
        begin = f"({entries[-1][0].decode()}"


def _whose(work: Work, fields: Mapping[bytes, bytes]) -> Whose:
    account = fields.get(b"account", DEFAULT_ACCOUNT.encode()).decode("utf-8", "replace")
    is_its = account == work.account or (
        work.account == DEFAULT_ACCOUNT and account not in work.place.others
    )
    raw = fields.get(b"event") or repr(dict(fields)).encode()
    return work.person.whose(raw) if is_its else Whose.NEITHER


async def sweep_letters(work: Work) -> None:
    """Dead letters, with what finds them."""
    letters = DeadLetters(work.redis, work.account)
    async for ids in each_member(work.redis, keys.dead_by_time(work.account), CHUNK):
        theirs: list[Letter] = []
        async for letter in letters.read(one.decode() for one in ids):
            whose = _whose_letter(work, letter)
            if whose is Whose.THEIRS:
                theirs.append(letter)
            work.see(Space.LETTERS, theirs=whose is Whose.THEIRS, named=whose is Whose.NAMED)
        work.note_orders(letter.raw for letter in theirs)
        if theirs and work.removes:
            await letters.drop(letter.id for letter in theirs)


def _whose_letter(work: Work, letter: Letter) -> Whose:
    """Its mailbox says whose it is; where it had none, the event."""
    user, by_event = letter.header.user, work.person.whose(letter.raw)
    if work.person.is_named(user):
        return Whose.THEIRS
    had_mailbox = bool(user) and not user.startswith(UNIDENTIFIED)
    return Whose.NAMED if had_mailbox and by_event is Whose.THEIRS else by_event


async def sweep_wakeups(work: Work) -> None:
    """Messages in the lanes' Celery queues: they go on without the person's mailboxes."""
    for lane in Lane:
        queue = keys.celery_queue(lane)
        messages: Any = await work.redis.lrange(queue, 0, MAX_MESSAGES - 1)
        for message in messages:
            if account_of(message) != work.account:
                continue
            boxes = boxes_of(message)
            left = [box for box in boxes if not work.person.is_named(box)]
            is_theirs = len(left) < len(boxes)
            work.see(Space.WAKEUPS, theirs=is_theirs)
            if is_theirs and work.removes:
                await work.run("swap_message", [message, without(message, left)], queue)


def boxes_of(message: bytes) -> list[str]:
    """The mailboxes that a wake-up names. No I/O."""
    args, *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return [str(box) for box in args[2]] if len(args) > 2 else []


def without(message: bytes, boxes: Sequence[str]) -> bytes:
    """A wake-up for these mailboxes in place of those that it names; b"" for none. No I/O."""
    if not boxes:
        return b""
    outer = json.loads(message)
    (account, lane, _, *more), *rest = json.loads(base64.b64decode(outer["body"]))
    body = json.dumps([[account, lane, list(boxes), *more], *rest])
    outer["body"] = base64.b64encode(body.encode()).decode()
    return json.dumps(outer).encode()
