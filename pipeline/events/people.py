"""Whose an event is, without what was learned of ids. No I/O."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.events.emails import address
from pipeline.events.models import Event


def owner_of(event: Event, shared_ids: Collection[str] = ()) -> str | None:
    """The id that says whose an event is: its userId, else its anonymousId, else the email that addresses it.

    shared_ids: those that say nothing, in lower case (setting SHARED_IDS).
    """
    for one in (event.user_id, event.anonymous_id):
        if one and one.casefold() not in shared_ids:
            return one
    return address(event, event.kind)
