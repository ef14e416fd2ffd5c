"""Which dead letters are meant. No I/O."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pipeline.clock import iso
from pipeline.deadletters.letter import Header, Letter
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.json_text import decode_text, read_json
from pipeline.storage import keys

ORDER_FIELDS = ("order_id", "orderId", "purchase_id", "extid", "checkout_id", "checkoutId")
"""Fields of an event, or of an object in it, that hold an order's number; where it has several, the first is its own."""
REFUSED_LANE = ""
"""The lane of what the splitter refused."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a letter must be to be meant; None asks nothing.

    user: the id that names its mailbox (a userId, else an anonymousId or email).
    since_ms, until_ms: it died then or later, then or earlier; Unix milliseconds.
    group: its fingerprint.
    endpoint: of the call that was refused, as `POST /event`, or its path alone.
    code: Sailthru's error or the HTTP status.
    event: the event's name, in any letter case.
    order: an order's number, wherever the event has it.
    match: text in the event, its id, its user or the detail, in any letter case.
    """

    reason: Reason | None = None
    lane: Lane | None = None
    user: str | None = None
    since_ms: int | None = None
    group: str | None = None
    until_ms: int | None = None
    endpoint: str | None = None
    code: int | None = None
    event: str | None = None
    order: str | None = None
    match: str | None = None

    @property
    def reads_raw(self) -> bool:
        """Whether the event itself must be looked at."""
        return self.order is not None or self.match is not None

    @property
    def is_of_causes(self) -> bool:
        """Whether it asks only for what all letters of a fingerprint have in common."""
        others = {"user", "since_ms", "until_ms", "event", "order", "match"}
        return all(getattr(self, name) is None for name in others)

    @property
    def is_indexed(self) -> bool:
        """Whether the letters in its indexes (`indexes`), within its time, are exactly those that it means."""
        used = (
            {"user"}
            if self.user is not None
            else {"group"}
            if self.group is not None
            else {"reason", "lane"}
        )
        free = used | {"since_ms", "until_ms"}
        return all(getattr(self, one.name) is None for one in fields(self) if one.name not in free)

    def indexes(self, account: str) -> list[str]:
        """The keys of sorted sets that hold every letter it can mean: as few letters as an index can tell."""
        if self.user is not None:
            return [keys.dead_by_user(account, self.user)]
        if self.group is not None:
            return [keys.dead_by_cause(account, self.group)]
        if self.reason is None and self.lane is None:
            return [keys.dead_by_time(account)]
        lanes = [REFUSED_LANE, *Lane] if self.lane is None else [self.lane]
        reasons = [*Reason] if self.reason is None else [self.reason]
        return [keys.dead_by_kind(account, lane, reason) for lane in lanes for reason in reasons]

    def matches(self, letter: Letter) -> bool:
        """Whether this letter is meant. Its raw event must be there if `reads_raw`."""
        return (
            self.fits_header(letter.header)
            and (self.order is None or self.order in order_numbers(letter.raw))
            and (self.match is None or self.match.casefold() in searched_text(letter))
        )

    def fits_header(self, header: Header) -> bool:
        """Whether the header is of such a letter."""
        asked = {
            "reason": self.reason,
            "lane": self.lane,
            "user": self.user,
            "fingerprint": self.group,
        }
        return (
            (self.since_ms is None or header.died_at >= self.since_ms)
            and (self.until_ms is None or header.died_at <= self.until_ms)
            and (self.endpoint is None or is_endpoint(self.endpoint, header.endpoint))
            and (self.code is None or self.code in (header.error, header.status))
            and (self.event is None or (header.event or "").casefold() == self.event.casefold())
            and all(
                getattr(header, name) == value for name, value in asked.items() if value is not None
            )
        )

    def in_words(self) -> str:
        """As a person reads it, and as the options that mean it; `all dead letters` when it asks nothing."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        words = [
            f"{name.removesuffix('_ms')} {iso(value) if name.endswith('_ms') else value}"
            for name, value in given.items()
            if value is not None
        ]
        return ", ".join(words) or "all dead letters"


def is_endpoint(asked: str, endpoint: str | None) -> bool:
    """Whether a bucket such as `POST /event` is what a person means by `/event`, `event` or `post /EVENT`."""
    whole = (endpoint or "").casefold()
    path = whole.rpartition(" ")[2]
    return bool(whole) and asked.strip().casefold() in {whole, path, path.removeprefix("/")}


def order_numbers(raw: bytes) -> set[str]:
    """Every order number in an event; none in what is no JSON."""
    try:
        body = read_json(raw)
    except ValueError:
        return set()
    return {number for _, number in _numbers(body)}


def first_order_number(body: Any) -> str:
    """The number that people know an order by; '' where an event has none."""
    found = sorted(_numbers(body), key=lambda one: ORDER_FIELDS.index(one[0]))
    return found[0][1] if found else ""


def searched_text(letter: Letter) -> str:
    """What `match` looks through: casefolded, with the escapes of JSON undone."""
    text = decode_text(letter.raw)
    if "\\" in text:
        with contextlib.suppress(ValueError):  # no JSON: the text as it came is all there is
            text = json.dumps(read_json(letter.raw), ensure_ascii=False) + text
    header = letter.header
    return "\n".join((letter.id, header.user, header.detail, header.event or "", text)).casefold()


def _numbers(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, one in value.items():
            if name in ORDER_FIELDS and isinstance(one, (str, int, float)):
                yield name, str(one)
            yield from _numbers(one)
    elif isinstance(value, list):
        for one in value:
            yield from _numbers(one)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The letter behind which a page begins; it may be gone by then. Text for people and URLs: `MS.ID`."""

    died_at: int
    id: str

    @classmethod
    def read(cls, text: str) -> Cursor:
        """What `str` wrote. Raises ValueError for anything else."""
        at, dot, identity = text.partition(".")
        if not dot or not at.isascii() or not at.isdigit():
            msg = f"{text!r} is no cursor"
            raise ValueError(msg)
        return cls(int(at), identity)

    def __str__(self) -> str:
        return f"{self.died_at}.{self.id}"


@dataclass(frozen=True, slots=True)
class Page:
    """Some matching letters, newest first. after: where to go on; None when there are no more.
    looked: how many letters were looked at for it."""

    letters: tuple[Letter, ...]
    after: Cursor | None
    looked: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Letters a command is about, counted before anything is done to them.

    ids: in the order in which their events first came, which replay must keep.
    reasons: how many died of what.
    overtaken: identifies and cart changes among them after which a later one of the same user was
        delivered: sent now they would undo it.
    targets: what was delivered to when they died; '' for those whose header does not say.
    first_seen: when the oldest of their events came (ms); 0 for none.
    older: how many of their events came more than a day before `select` was called.
    emailing: how many could start emails when they are sent: orders, carts and custom events.
    people: how many users they are of.
    lanes: how many waited in which; '' for those that the splitter refused.
    """

    ids: tuple[str, ...]
    reasons: Mapping[str, int]
    overtaken: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    first_seen: int = 0
    older: int = 0
    emailing: int = 0
    people: int = 0
    lanes: Mapping[str, int] = field(default_factory=dict)

    def without_overtaken(self) -> Selection:
        """What is safe to replay."""
        return replace(self, ids=tuple(one for one in self.ids if one not in self.overtaken))
