"""A raw entry on its way through the splitter, and what crosses into its scripts: frozen values. No I/O.

`pydantic_core.to_json` writes the latter for Lua: a list of the fields in the order in which they stand here.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

from pipeline.errors import InvalidEvent
from pipeline.events.emails import SharedBy
from pipeline.events.models import Event
from pipeline.events.routing import Facts
from pipeline.mailbox.claim import OptOutFlag
from pipeline.roles import Role
from pipeline.settings import AccountSettings
from pipeline.ways_in import WayIn


class ActionKind(StrEnum):
    """What becomes of a raw entry."""

    POST = "post"
    DEAD = "dead"
    HELD = "held"
    IGNORED = "ignored"
    REMOVED = "removed"


class DedupeKey(NamedTuple):
    """What the scripts tell a duplicate by.

    p: the prefix of the account's keys.
    id: the event's id, or its letter's, where it was one.
    hash: what a repeat shares with it: 64 bits as a decimal string (`dedupe_hash`).
    window: ms for which a repeat counts as a duplicate; 0 = it asks no dedupe.
    replay: an exported dead letter. It takes the place of the letter with this id and hash, and is a duplicate when
        that letter has been replayed already.
    """

    p: str
    id: str
    hash: str
    window: int
    replay: bool


class Configured(NamedTuple):
    """An account that the settings name, and what its keys begin with."""

    settings: AccountSettings
    p: str


class RawEntry(NamedTuple):
    """One entry of the raw stream. `sid` is its id, `ms-n`, and at_ms the first half of that; `replay` the id of the
    dead letter it was, `key` that letter's dedupe key; `bulk`: it may wait until live ones are through; role: of the
    write key it came with; is_given_up: it has waited in vain for a splitter that knows its account; via: the way by
    which it came."""

    sid: str
    at_ms: int
    raw: bytes
    account: str
    replay: str = ""
    key: str = ""
    bulk: bool = False
    role: Role = Role.SERVER
    is_given_up: bool = False
    via: WayIn = WayIn.REDIS


class Read(NamedTuple):
    """An entry with its event and what that says, or with what is wrong with it.

    facts: nothing where the account is not configured or the event is refused.
    key: its id is that of the letter it was, else the messageId, else the stream entry's id.
    optout: of an exported letter, as its flag says (`Entry.optout`).
    came: what it is counted as on its way in: its way and type, a part of `Count.CAME_IN`.
    """

    entry: RawEntry
    key: DedupeKey
    event: Event | None
    facts: Facts | None
    problem: InvalidEvent | None
    optout: OptOutFlag = ""
    came: str = ""


class SplitAction(NamedTuple):
    """What split.lua is to do with one entry, beside the blob that it posts or buries. One that is held is buried if too
    many are.

    lane, box: of what is posted; reason: why it is ignored.
    emails: (user, email, its strength as evidence, at ms, emails seen today as JSON, whether its events go to another
        user, so that the email is only for what waits there) to remember; no email: the sighting alone.
    aliases: (KIND:NAME, the id it leads to).
    optout: () or the mailbox of its user, the level ('' when it is not known) and the header of the second entry, ''
        when its own call says it.
    shared_by: what makes those of its ids shared ones that are, to be counted.
    bulk: as of the entry. hands_down: whether a visitor whom an alias links has the user's email from now on, too.
    keep: ms for which the email is known. came: `Read.came`.
    """

    key: DedupeKey
    kind: ActionKind
    lane: str = ""
    box: str = ""
    reason: str = ""
    emails: tuple[tuple[str, str, int, int, str, bool], ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    optout: tuple[()] | tuple[str, str, str] = ()
    shared_by: Collection[SharedBy] = ()
    bulk: bool = False
    hands_down: bool = True
    keep: int = 0
    came: str = ""


class RoutedEntry(NamedTuple):
    """One raw entry's action, and the mailbox entry or dead letter it becomes (nothing when it is ignored)."""

    sid: str
    action: SplitAction
    blob: bytes = b""


class Moved(NamedTuple):
    """Ids of entries that have left the stream: which were duplicates, and which went elsewhere (a reset removed them, or
    they are held until their account is known, or are gone with the person whose they were)."""

    duplicates: frozenset[bytes] = frozenset()
    gone: frozenset[bytes] = frozenset()
