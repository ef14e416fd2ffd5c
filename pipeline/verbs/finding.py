"""What one text means that a person types: somebody, an event, an order, or nothing that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import redis.asyncio

from pipeline.clock import Clock
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.store import DeadLetters
from pipeline.settings import AccountSettings
from pipeline.status.person import read_person
from pipeline.status.trace import trace_event
from pipeline.text import is_email

Json: TypeAlias = dict[str, Any]
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
    traced = await trace_event(client, settings, text, clock)
    hits = {one["id"]: Hit(one["id"], one["what"], one["user"]) for one in traced["events"]}
    if not hits:  # the log forgets an order before its letter goes
        page = await DeadLetters(client, settings.name).page(Filter(order=text), limit=MAX_EVENTS)
        for letter in page.letters:
            header = letter.header
            hits[letter.id] = Hit(letter.id, header.event or header.type, header.user or None)
    return Found(user, tuple(hits.values())[-MAX_EVENTS:], since, traced["complete"])
