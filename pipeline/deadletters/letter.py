"""A dead letter: the raw event, why it died, and everything that was tried."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from pipeline.clock import iso
from pipeline.mailbox.history import Attempt, read_attempts
from pipeline.packed import pack, unpack
from pipeline.roles import Role

_LISTED = (
    "id", "account", "lane", "user", "type", "event", "reason", "detail", "endpoint", "status",
    "error", "attempts", "first_seen", "died_at", "fingerprint",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is written down of a death: what the scripts read, and what people are shown.

    lane, user: where it waited; '' when the event was refused before it had a mailbox.
    first_seen_ms, died_at: Unix milliseconds.
    key, shared_ids, optout, role: as in the mailbox entry; a role of '' is `server`.
    pending_intent: an order's unsettled intent.
    order: it is an order or a refund, or may be one; such letters are trimmed last.
    awaits_email: it is replayed by itself when an event shows its user's email.
    follows: what a later event of the same user overtakes it in: `identify`, `cart`.
    target: what was delivered to when it died (`Target.name`); '' when that made no difference.
    fingerprint: what letters of one cause share; version: sailpipe's. Both are '' until they are written down.
    packed: so the raw event is stored. edited: how often a person has edited the event.
    """

    account: str
    lane: str = ""
    user: str = ""
    type: str | None = None
    event: str | None = None
    reason: str
    detail: str = ""
    endpoint: str | None = None
    status: int | None = None
    error: int | None = None
    attempts: int = 0
    first_seen_ms: int
    died_at: int
    calls: Sequence[Mapping[str, Any]] = ()
    timeline: Sequence[Attempt] = ()
    key: str = ""
    pending_intent: str = ""
    shared_ids: str = ""
    optout: str = ""
    role: str = ""
    order: bool = False
    awaits_email: bool = False
    follows: str = ""
    target: str = ""
    fingerprint: str = ""
    version: str = ""
    packed: bool = False
    edited: int = 0

    @classmethod
    def read(cls, line: bytes, *, whole: bool = True) -> Header:
        """What `as_line` wrote. Fields of another version are left out; calls and timeline, too, unless `whole`."""
        fields = json.loads(line)
        past, calls = (fields.get(name) if whole else None for name in ("past", "packed_calls"))
        known = {name: value for name, value in fields.items() if name in cls.__slots__}
        if calls:
            known["calls"] = json.loads(unpack(calls))
        return cls(timeline=read_attempts(json.loads(past)) if past else (), **known)

    def as_line(self) -> str:
        """As JSON on one line, which the scripts and `read` read."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "timeline"}
        for name in (
            "key",
            "pending_intent",
            "shared_ids",
            "optout",
            "role",
            "order",
            "awaits_email",
            "follows",
            "target",
            "packed",
            "edited",
            "calls",
        ):
            fields[name] = fields[name] or None
        if self.calls and (calls := pack(json.dumps(self.calls).encode())):
            fields |= {"calls": None, "packed_calls": calls}
        cause = (self.reason, self.endpoint, self.error, self.detail)
        fields["fingerprint"] = self.fingerprint or fingerprint(*cause, self.lane)
        fields["past"] = _past(self.timeline)
        fields["version"] = self.version or _version()
        return json.dumps({name: value for name, value in fields.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: the header that the scripts read, and the event as its producer sent it."""

    id: str
    account: str
    header: Header
    raw: bytes

    @classmethod
    def read(cls, account: str, identity: str, blob: bytes, *, whole: bool = True) -> Letter:
        """From what the store holds; without calls and timeline unless `whole`."""
        line, _, raw = blob.partition(b"\n")
        header = Header.read(line, whole=whole)
        return cls(identity, account, header, unpack(raw) if header.packed and raw else raw)

    def as_row(self) -> dict[str, Any]:
        """The shape of `dead list --json`; times are ISO 8601 in UTC."""
        row = {name: getattr(self.header, name, None) for name in _LISTED}
        row |= {"id": self.id, "account": self.account, "lane": self.header.lane or None}
        row["first_seen"] = iso(self.header.first_seen_ms)
        row["died_at"] = iso(self.header.died_at)
        return row

    def as_json(self) -> dict[str, Any]:
        """The shape of `dead show --json`: the row, the raw event, calls and timeline.

        Bytes of `raw` that are no UTF-8 are written as \\xNN: JSON cannot hold them.
        """
        return self.as_row() | {
            "raw": self.raw.decode("utf-8", "backslashreplace"),
            "calls": list(self.header.calls),
            "timeline": [asdict(attempt) for attempt in self.header.timeline],
            "version": self.header.version or None,
            "target": self.header.target or None,
            "role": Role.read(self.header.role).value,
            "edited": self.header.edited,
        }


def _past(timeline: Sequence[Attempt]) -> str | None:
    """Attempts as text in the text: a replay hands them on unread."""
    return json.dumps([asdict(attempt) for attempt in timeline]) if timeline else None


@cache
def _version() -> str:
    """Ours. It is read from disk, too slow for each of many letters."""
    return version("sailpipe")


def fingerprint(
    reason: str, endpoint: str | None, error: int | None, detail: str, lane: str
) -> str:
    """What letters of one cause share. Digits are left out of the message: they are ids or sizes."""
    message = "".join("#" if char.isdigit() else char for char in detail)
    key = json.dumps([reason, endpoint, error, message, lane])
    return hashlib.blake2b(key.encode(), digest_size=6).hexdigest()
