"""Every error sailpipe raises on purpose, and the reasons an event can die of.

* SailpipeError
    x ConfigError     a setting is missing or wrong; nothing starts
        + WrongFormat this Redis holds data of another version
    x InvalidEvent    this event can never be delivered (reason, detail)
        + RefusedByRole its write key may not send it; no letter is made of it
    x MappingRejected the mapping refuses this event (reason, detail)
        + Unreadable  for one field, without which it may go if that is optional (path, problem)
    x EnqueueError    Redis did not take the event; safe to try again
        + QueueFull   too much waits: memory, a lane or the raw stream is at its bound
    x StaleClaim      another owner has the mailbox; this one must stop writing

Each leaf exists because a caller reacts differently to it.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why an event became a dead letter. People build on the names: add, never rename."""

    INVALID_JSON = "invalid_json"
    INVALID_EVENT = "invalid_event"
    TOO_LARGE = "too_large"
    MISSING_USER_ID = "missing_user_id"
    RESERVED_EVENT = "reserved_event"
    UNMAPPABLE = "unmappable"
    NOTHING_TO_REMOVE = "nothing_to_remove"
    REJECTED = "rejected"
    UNKNOWN_USER = "unknown_user"
    MISSING_EMAIL = "missing_email"
    CART_LOOKUP_FAILED = "cart_lookup_failed"
    EXHAUSTED = "exhausted"
    TOO_OLD = "too_old"
    POISON = "poison"
    CRASHED = "crashed"


class SailpipeError(Exception):
    """An error that sailpipe raises on purpose."""


class ConfigError(SailpipeError):
    """A setting is missing or wrong. The message names it and says what to do."""


class WrongFormat(ConfigError):
    """This Redis holds data of another version. The message says which, and what to do."""


class _WithReason(SailpipeError):
    def __init__(self, reason: Reason = Reason.INVALID_EVENT, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class InvalidEvent(_WithReason):
    """This event can never be delivered. `detail` is safe to log: it names fields, never values."""


class RefusedByRole(InvalidEvent):
    """The write key's role may not send such an event. It is no letter: any visitor may send any number of them."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(Reason.INVALID_EVENT, detail)
        self.args = (detail,)


class MappingRejected(_WithReason):
    """The mapping refuses this event. `detail` is safe to log: it names fields, never values."""


class Unreadable(MappingRejected):
    """A field holds what cannot be read; a mapping that can do without it catches this.

    path: where the field stands in the event. problem: what would be right. Neither quotes a value.
    """

    def __init__(self, path: str = "", problem: str = "") -> None:
        super().__init__(Reason.UNMAPPABLE, f"{path} {problem}")
        self.args = (path, problem)
        self.path = path
        self.problem = problem


class EnqueueError(SailpipeError):
    """Redis did not take the event. Nothing was enqueued that was not acknowledged; try again.

    what: what is wrong, for producers elsewhere, too. fix: what to do about it here; may be ''.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what, fix)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}: {self.fix}" if self.fix else self.what


class QueueFull(EnqueueError):
    """Redis' memory, a lane or the raw stream is at its bound. Slow down and try again."""


class StaleClaim(SailpipeError):
    """The claim's token is no longer the mailbox's: another owner may be at work. Stop writing."""
