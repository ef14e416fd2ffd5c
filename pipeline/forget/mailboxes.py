"""Mailboxes, and the claims of workers that have them in hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.events.models import Lane
from pipeline.forget.person import Whose, spelled
from pipeline.forget.spaces import Space
from pipeline.forget.work import Work
from pipeline.mailbox.claim import Entry
from pipeline.storage import keys


async def take_boxes(work: Work, boxes: Iterable[str]) -> None:
    """Remove mailboxes of these names in all lanes. A worker that has one in hand can write nothing more of it."""
    names = list(boxes)
    for lane in Lane:
        gone, leased, there = await work.run("take_boxes", [work.place.now, lane.value, *names])
        work.leased_until = max(work.leased_until, int(leased))
        if there:
            work.see(Space.MAILBOXES, 0, theirs=max(int(there), int(gone)))


async def look_into(work: Work, boxes: Sequence[tuple[str, str]]) -> None:
    """Count what is in mailboxes (lane, name): the person's own events, or others' that name the person."""
    left, at = list(boxes), 0
    while left:
        names = [keys.mail(work.account, Lane(lane), box) for lane, box in left]
        on, at, *flat = await work.run("peek", [at], *names)
        for number, blob in zip(flat[::2], flat[1::2], strict=True):
            _see(work, left[number - 1], Entry.decode(blob).raw)
        left = left[on - 1 :] if on else []


def _see(work: Work, box: tuple[str, str], raw: bytes) -> None:
    if work.person.is_named(box[1]):
        work.boxes.add(box)
        work.note_orders([raw])
        work.see(Space.MAILBOXES, theirs=1)
    else:
        work.see(Space.MAILBOXES, named=work.person.whose(raw) is not Whose.NEITHER)


async def sweep_standing(work: Work) -> None:
    """Mailboxes that have a state, or a place in a lane's sets, though nothing waits in them; and the one under suspicion."""
    names = spelled(work.person.ids)
    for lane in Lane:
        for set_ in (keys.due, keys.due_bulk, keys.leased):
            scores: Any = await work.redis.zmscore(set_(work.account, lane), names)
            pairs = zip(names, scores, strict=True)
            work.standing.update((lane.value, name) for name, score in pairs if score is not None)
    work.see(Space.MAILBOXES, 0, theirs=len(work.standing - work.boxes))
    suspect: Any = await work.redis.hget(keys.suspect(work.account), "box")
    box = suspect.decode("utf-8", "replace") if isinstance(suspect, bytes) else None
    if work.person.is_named(box):
        work.see(Space.MAILBOXES, 0, theirs=1)
