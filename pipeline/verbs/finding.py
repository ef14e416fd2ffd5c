"""What one text means that a person types: a person, an event, an order, or nothing that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import redis.asyncio

from pipeline.clock import Clock
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.letter import Letter
from pipeline.deadletters.store import DeadLetters
from pipeline.settings import AccountSettings
from pipeline.status.person import read_person
from pipeline.status.trace import trace_event
from pipeline.text import is_email
from pipeline.trace.log import TraceLog
from pipeline.trace.names import message_name, order_name

MAX_EVENTS: Final = 20
"""Events that are named for one text; the newest."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An event that a text means: its messageId, or the letter's id; its name or type, and whose it is, where known."""

    id: str
    what: str | None
    user: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """What a text means. user: the id of the person whom it names, None when none is known.

    since: ISO 8601, since when all that arrived is remembered; None where that is not known. complete: whether all that waits
    was looked through.
    """

    user: str | None
    events: tuple[Hit, ...]
    since: str | None
    complete: bool


async def find(
    client: redis.asyncio.Redis, settings: AccountSettings, text: str, clock: Clock
) -> Found:
    """Look for a userId, anonymousId, email, messageId or order id. An email is not looked for among ids of events."""
    person = await read_person(client, settings, text)
    user = person["user"] if person["known"] else None
    log = person["log"]
    since = log["complete_since"] if log else None
    if is_email(text):
        return Found(user, (), since, complete=True)
    letters = DeadLetters(client, settings.name)
    if user is not None:
        return Found(user, await _remembered(client, letters, text), since, complete=True)
    traced = await trace_event(client, settings, text, clock)
    hits = {one["id"]: Hit(one["id"], one["what"], one["user"]) for one in traced["events"]}
    if not hits:  # the log forgets an order before its letter goes
        page = await letters.page(Filter(order=text), limit=MAX_EVENTS)
        hits = {letter.id: _hit(letter) for letter in page.letters}
    return Found(user, tuple(hits.values())[-MAX_EVENTS:], since, traced["complete"])


async def _remembered(
    client: redis.asyncio.Redis, letters: DeadLetters, text: str
) -> tuple[Hit, ...]:
    """Events that have a person's id, too, as shops count both: by what is at hand. To look through all that waits takes
    seconds, and what waits of the person is on their page."""
    names = [message_name(text), order_name(text)]
    records = await TraceLog(client, letters.account).find(names, most=MAX_EVENTS)
    hits = {one.id: Hit(one.id, one.what or None, one.user or None) for one in records}
    hits |= {letter.id: _hit(letter) async for letter in letters.read([text])}
    return tuple(hits.values())[-MAX_EVENTS:]


def _hit(letter: Letter) -> Hit:
    header = letter.header
    return Hit(letter.id, header.event or header.type, header.user or None)
