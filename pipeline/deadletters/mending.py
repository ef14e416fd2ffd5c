"""To edit dead letters: what a change would make of the event and of its calls, and the change itself.

An edited letter keeps its id and what is known of its death. Replayed, it is split again, as an exported line is that
is enqueued: with another userId it belongs to another person's mailbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pydantic_core
import redis.asyncio

from pipeline.deadletters.edits import FLAG, BadChange, Change, apply, diff
from pipeline.deadletters.export import export_line
from pipeline.deadletters.letter import Letter
from pipeline.errors import SailpipeError
from pipeline.events.models import MAX_EVENT_BYTES
from pipeline.json_text import read_json
from pipeline.mapping.dryrun import dry_run
from pipeline.settings import AccountSettings
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts


class ChangedMeanwhile(SailpipeError):
    """The letter was replayed, dropped or edited by another since it was read."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What a change makes of one letter.

    letter: as it was read. event: the new event, without the replay flag. before, after: as `map` shows them, what would be
    sent for the old event and the new. event_diff: lines `- path: value` and `+ path: value`.
    """

    letter: Letter
    event: Mapping[str, Any]
    event_diff: Sequence[str]
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def is_changed(self) -> bool:
        return bool(self.event_diff)

    def as_json(self) -> dict[str, Any]:
        """One line of `dead fix --dry-run --json`."""
        return {
            "id": self.letter.id,
            "event_diff": list(self.event_diff),
            "before": dict(self.before),
            "after": dict(self.after),
        }


def shown_event(letter: Letter) -> dict[str, Any]:
    """The event without the replay flag. Raises BadChange when it is no JSON object."""
    try:
        body = read_json(letter.raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise BadChange(f"The event of {letter.id} is no JSON object: edit it as a whole.")
    return {name: value for name, value in body.items() if name != FLAG}


def mend(
    letter: Letter, changes: Sequence[Change], settings: AccountSettings, now: float
) -> Mended:
    """What these changes make of it; nothing is written. Raises BadChange. `now`: Unix seconds, for MAX_AGE."""
    old = shown_event(letter)
    return preview(letter, apply(old, changes), settings, now)


def preview(
    letter: Letter, event: Mapping[str, Any], settings: AccountSettings, now: float
) -> Mended:
    """What this event in place of the letter's would do. Raises BadChange when it would be too large."""
    try:
        old: Any = shown_event(letter)
    except BadChange:
        old = letter.raw.decode("utf-8", "replace")
    new = pydantic_core.to_json(dict(event))
    if len(new) > MAX_EVENT_BYTES:
        raise BadChange(f"The event would have {len(new)} bytes, more than {MAX_EVENT_BYTES}.")
    before, after = (dry_run(raw, settings, None, now) for raw in (letter.raw, new))
    return Mended(letter, dict(event), diff(old, dict(event)), before, after)


class Mending:
    """Writes edits of one account's letters. Connection errors propagate."""

    def __init__(self, client: redis.asyncio.Redis, account: str) -> None:
        self._redis = client
        self._key = keys.dead(account)
        self._scripts = Scripts(client, "pipeline.deadletters")
        self._prefix = keys.account_prefix(account)

    async def write(self, mended: Mended) -> None:
        """Put the new event into the letter.

        Raises:
            ChangedMeanwhile: the letter is not any more what it was when `mended` was made.
            BadChange: it was meant for an account that is not in the settings, or is too large with the flag.
        """
        letter = mended.letter
        line = export_line(replace(letter, raw=pydantic_core.to_json(dict(mended.event))))
        if line is None or len(line) > MAX_EVENT_BYTES:
            raise BadChange(
                f"{letter.id} cannot be edited: it was meant for account {letter.header.account}, or grows too large."
            )
        header = replace(letter.header, packed=False, edited=letter.header.edited + 1)
        stored: Any = await self._redis.hget(self._key, letter.id)
        if stored is None or Letter.read(letter.account, letter.id, stored) != letter:
            raise _changed(letter)
        args = [letter.id, stored, header.as_line().encode() + b"\n" + line]
        if not await self._scripts.run("edit", [self._prefix], args):
            raise _changed(letter)


def _changed(letter: Letter) -> ChangedMeanwhile:
    return ChangedMeanwhile(f"{letter.id} has changed meanwhile: look at it again.")
