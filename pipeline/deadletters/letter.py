"""A dead letter: the raw event, why it died, and everything that was tried."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any

from pipeline.mailbox.entry import Attempt, read_attempts

_LISTED = (
    "id", "account", "lane", "user", "type", "event", "reason", "detail", "endpoint", "status",
    "error", "attempts", "first_seen", "died_at", "fingerprint",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `header` is what the scripts read; see `write_header` for its fields."""

    id: str
    account: str
    header: dict[str, Any]
    raw: bytes

    @classmethod
    def read(cls, account: str, identity: str, blob: bytes) -> Letter:
        header, _, raw = blob.partition(b"\n")
        return cls(identity, account, json.loads(header), raw)

    @property
    def lane(self) -> str:
        return str(self.header["lane"])

    @property
    def died_at_ms(self) -> int:
        return int(self.header["died_at"])

    @property
    def timeline(self) -> tuple[Attempt, ...]:
        past = self.header.get("past")
        return read_attempts(json.loads(past)) if past else ()

    def as_row(self) -> dict[str, Any]:
        """The shape of `dead list --json` (DESIGN 3); times are ISO 8601 in UTC."""
        row = {name: self.header.get(name) for name in _LISTED}
        row |= {"id": self.id, "account": self.account, "lane": self.lane or None}
        row["first_seen"] = iso(int(self.header["first_seen_ms"]))
        row["died_at"] = iso(self.died_at_ms)
        return row

    def as_json(self) -> dict[str, Any]:
        """The shape of `dead show --json`: the row, the raw event, calls and timeline.

        Bytes of `raw` that are no UTF-8 are written as \\xNN: JSON cannot hold them.
        """
        return self.as_row() | {
            "raw": self.raw.decode("utf-8", "backslashreplace"),
            "calls": self.header.get("calls", []),
            "timeline": [asdict(attempt) for attempt in self.timeline],
            "version": self.header.get("version"),
        }


def write_header(
    *,
    account: str,
    lane: str,
    box: str,
    user: str,
    kind: str | None,
    event: str | None,
    reason: str,
    detail: str,
    first_seen_ms: int,
    died_at_ms: int,
    calls: list[dict[str, Any]] | None = None,
    endpoint: str | None = None,
    status: int | None = None,
    error: int | None = None,
    attempts: int = 0,
    timeline: tuple[Attempt, ...] = (),
    mark: str = "",
    nobody: str = "",
    awaits_email: bool = False,
    follows: str = "",
) -> str:
    """A letter's header as JSON on one line.

    `lane` is '' when the event was refused before it had one; `mark` is an order's or cart's
    unsettled intent. `awaits_email`: the letter is replayed by itself when an event shows its
    user's email. `follows`: what a later event of the same user overtakes it in: `identify`, `cart`.
    """
    header: dict[str, Any] = {
        "account": account,
        "lane": lane,
        "box": box,
        "user": user,
        "type": kind,
        "event": event,
        "reason": reason,
        "detail": detail,
        "endpoint": endpoint,
        "status": status,
        "error": error,
        "attempts": attempts,
        "first_seen_ms": first_seen_ms,
        "died_at": died_at_ms,
        "fingerprint": fingerprint(reason, endpoint, error, detail),
        "calls": calls or [],
        "past": json.dumps([asdict(attempt) for attempt in timeline]) if timeline else None,
        "mark": mark or None,
        "nobody": nobody or None,
        "awaits_email": awaits_email or None,
        "follows": follows or None,
        "version": _version(),
    }
    return json.dumps({name: value for name, value in header.items() if value is not None})


@cache
def _version() -> str:
    """Ours. It is read from disk, too slow for each of many letters."""
    return version("sailpipe")


def fingerprint(reason: str, endpoint: str | None, error: int | None, detail: str) -> str:
    """What letters of one cause share. Digits are left out of the message: they are ids or sizes."""
    message = "".join("#" if char.isdigit() else char for char in detail)
    key = json.dumps([reason, endpoint, error, message])
    return hashlib.blake2b(key.encode(), digest_size=6).hexdigest()


def iso(ms: int) -> str:
    """Unix milliseconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
